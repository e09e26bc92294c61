"""How programs call this Space: one example a language, each run by the tests."""

import gradio as gr

from speech_emotion.ui.registry import serving

PYTHON = """
from gradio_client import Client, handle_file

client = Client("{url}")
answer = client.predict(handle_file("clip.wav"), "{model}", api_name="/classify")
print(answer["label"], answer["probabilities"])
course = client.predict(handle_file("call.mp3"), "{model}", api_name="/timeline")
print(course["shares"])
"""

CURL = """
FILE=$(curl -s {url}gradio_api/upload -F files=@clip.wav | cut -d '"' -f 2)
DATA='{{"path": "'$FILE'", "meta": {{"_type": "gradio.FileData"}}}}'
EVENT=$(curl -s {url}gradio_api/call/classify -H "Content-Type: application/json" \\
  -d "{{\\"data\\": [$DATA, \\"{model}\\"]}}" | cut -d '"' -f 4)
curl -sN {url}gradio_api/call/classify/$EVENT
"""

JAVASCRIPT = """
const space = "{url}gradio_api/";
async function classify(clip) {{  // a Blob or File
  const form = new FormData();
  form.append("files", clip, "clip.wav");
  const [path] = await (await fetch(space + "upload", {{ method: "POST", body: form }})).json();
  const data = [{{ path, meta: {{ _type: "gradio.FileData" }} }}, "{model}"];
  const headers = {{ "Content-Type": "application/json" }};
  const call = {{ method: "POST", headers, body: JSON.stringify({{ data }}) }};
  const {{ event_id }} = await (await fetch(space + "call/classify", call)).json();
  return new Promise((resolve, reject) => {{
    const answer = new EventSource(space + "call/classify/" + event_id);
    answer.addEventListener("complete", (event) => resolve(JSON.parse(event.data)[0]) ?? answer.close());
    answer.addEventListener("error", (event) => reject(event.data) ?? answer.close());
  }});
}}
"""

WORDS = """
| endpoint | takes | gives |
|---|---|---|
| `/classify` | a recording of up to 60 s, a model | `label`, `probabilities`, `seconds`, `sure`, `engine` |
| `/timeline` | one of up to an hour, a model | `seconds`, `shares` of speech, `segments`, `events` |
| `/batch` | recordings, a model | a row for each, with `error` where one has no answer |
| `/live` | the next half second of sound, a model | `label`, `probabilities`, `face` for an avatar |

What cannot be judged is answered with a sentence that says why. `/live` remembers a session's last seconds.
An assistant can use the first two as tools where the app is started with `GRADIO_MCP_SERVER=true`; it sends
the recording as a `data:` URL.
"""


ADDRESS = "() => location.origin + location.pathname.replace(/\\/?$/, '/')"


def lay_out(page: gr.Blocks) -> None:
    """Add the screen; its examples have the address at which the visitor sees it."""
    gr.Markdown(WORDS)
    codes = {
        gr.Code(language=language, label=name, interactive=False, elem_id=f"example-{language}"): text
        for name, language, text in (
            ("Python", "python", PYTHON),
            ("curl", "shell", CURL),
            ("JavaScript", "javascript", JAVASCRIPT),
        )
    }
    page.load(
        lambda url: [fill(text, url, serving()[0]) for text in codes.values()],
        gr.Textbox(visible=False),
        list(codes),
        js=ADDRESS,
        api_visibility="private",
        queue=False,
    )


def fill(text: str, url: str, model: str) -> str:
    """Put an address, with its slash at the end, and a model's name into an example."""
    return text.format(url=url, model=model).strip()
