"""The same recording before every model: what each says, how sure it is, and how long it takes."""

import time
from collections.abc import Iterator

import gradio as gr

from speech_emotion import AudioError, EmotionClassifier, ModelError, Prediction
from speech_emotion.ui import render
from speech_emotion.ui.listen import Listen
from speech_emotion.ui.registry import MODELS, classifier

INVITATION = "Record or upload up to a minute of voice above, then compare what the models hear in it."


def lay_out(listen: Listen) -> None:
    """Add the screen, and answer its button."""
    button = gr.Button("Compare the models", elem_id="compare")
    table = gr.HTML(render.hint(INVITATION), elem_id="comparison")
    comparing = button.click(
        compare, listen.voice, table, api_visibility="private", show_progress="minimal", scroll_to_output=True
    )
    listen.voice.change(
        lambda: render.hint(INVITATION),
        None,
        table,
        cancels=comparing,
        api_visibility="private",
        queue=False,
    )


def compare(path: str | None) -> Iterator[str]:
    """Lay out what each model says, one after another."""
    if path is None:
        yield render.refusal("There is no recording yet: record or upload one above.")
        return
    predictions, cards = {}, []
    for name in MODELS:
        try:
            heard = classifier(name)
            prediction, milliseconds = time_prediction(heard, path)
        except AudioError as error:
            yield render.refusal(str(error))
            return
        except ModelError as error:
            body = render.refusal(str(error))
        else:
            predictions[name] = prediction
            parameters = heard.parameters / 1e6
            cost = f"{milliseconds:.0f} ms in {prediction.engine}, {parameters:.1f} M parameters"
            body = render.prediction_card(prediction, cost)
        cards.append((name, body))
        yield render.comparison(judge(predictions), cards)


def time_prediction(heard: EmotionClassifier, path: str) -> tuple[Prediction, float]:
    """Classify a recording twice, and return the milliseconds of the second time: the first warms up."""
    heard.predict(path)
    start = time.perf_counter()
    prediction = heard.predict(path)
    return prediction, 1000 * (time.perf_counter() - start)


def judge(predictions: dict[str, Prediction]) -> str:
    """Say in a sentence whether the models agree."""
    labels = {prediction.label for prediction in predictions.values()}
    if len(predictions) < 2:
        return "Only one model has answered."
    if len(labels) > 1:
        said = "; ".join(f"{name} hears {prediction.label}" for name, prediction in predictions.items())
        return f"The models disagree: {said}. Trust none of them much here."
    sure = all(prediction.sure for prediction in predictions.values())
    return f"The models agree: {labels.pop()}{'.' if sure else ', though not all of them are sure.'}"
