"""Documentation of the API: an example in each language, which the tests run."""

from html import escape

import gradio as gr

from speech_emotion.ui.page import label
from speech_emotion.ui.registry import serving
from speech_emotion.ui.wording import span

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

ENDPOINTS = {"/classify": "classify", "/timeline": "timeline", "/batch": "batch", "/live": "live"}
EXAMPLES = {"python": ("Python", PYTHON), "shell": ("curl", CURL), "javascript": ("JavaScript", JAVASCRIPT)}
ADDRESS = "() => location.origin + location.pathname.replace(/\\/?$/, '/')"


def lay_out(page: gr.Blocks) -> None:
    """Add the screen; its examples have the address at which the visitor sees it."""
    rows = "".join(
        f"<tr><th scope='row'><code>{name}</code></th><td>{span(f'takes_{key}')}</td><td>"
        f"{span(f'gives_{key}')}</td></tr>"
        for name, key in ENDPOINTS.items()
    )
    gr.HTML(
        f"<div class='stack'>{span('programs_lead', 'p', 'class=lead')}"
        f"<div class='table-scroll' tabindex='0' role='group' {label('nav_programs')}><table><thead><tr><th "
        f"scope='col'>{span('endpoint')}</th>"
        f"<th scope='col'>{span('takes')}</th><th scope='col'>{span('gives')}</th></tr></thead><tbody>"
        f"{rows}</tbody></table></div>"
        f"{span('programs_refusals', 'p')}{span('programs_tools', 'p')}"
        f"<p><a href='web/' target='_blank'>{span('programs_browser')}</a></p></div>",
        apply_default_css=False,
    )
    codes = gr.HTML(elem_id="examples", apply_default_css=False)
    page.load(
        lambda url: show_examples(url, serving()[0]),
        gr.Textbox("", visible="hidden", label="address"),
        codes,
        js=ADDRESS,
        api_visibility="private",
        queue=False,
        show_progress="hidden",
    )


def show_examples(url: str, model: str) -> str:
    """Render a tab for each language's example."""
    tabs = "".join(
        f"<button type='button' role='tab' id='tab-code-{key}' aria-controls='code-{key}' "
        f"aria-selected='{str(not number).lower()}' "
        f"tabindex='{-1 if number else 0}'>{name}</button>"
        for number, (key, (name, _)) in enumerate(EXAMPLES.items())
    )
    panels = "".join(
        f"<div id='code-{key}' class='code{' closed' if number else ''}'><button type='button' class='btn "
        "small' data-action='copy' "
        f"data-copy='example-{key}'>{span('copy')}</button><pre id='example-{key}' tabindex='0' role='group' "
        f"aria-label='{name}'>"
        f"{escape(fill(example, url, model))}</pre></div>"
        for number, (key, (name, example)) in enumerate(EXAMPLES.items())
    )
    return (
        f"<div class='stack'><div class='tabs under' role='tablist' id='codes' {label('examples_code')}>"
        f"{tabs}</div>{panels}</div>"
    )


def fill(text: str, url: str, model: str) -> str:
    """Return an example with an address, its slash at the end, and a model's name filled in."""
    return text.format(url=url, model=model).strip()
