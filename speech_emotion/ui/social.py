"""The page's head before any script runs: its own title, description, picture and icon for shared links.

Gradio's template names Gradio there. Its tags are replaced in the template's source when the app starts.
"""

import re
from pathlib import Path

import gradio as gr
from gradio import routes
from jinja2 import BaseLoader, ChoiceLoader, Environment, TemplateNotFound

from speech_emotion.ui.wording import TEXTS

STATIC = Path(__file__).parent / "static"
PICTURE, ICON = STATIC / "share.png", STATIC / "icon.png"
TEMPLATE = "frontend/index.html"
THEIRS = re.compile(r"<meta\s+(?:property=\"og:|name=\"twitter:)[^>]*?/>", re.DOTALL)
OURS = """
<meta name="description" content="{description}" />
<meta property="og:type" content="website" />
<meta property="og:title" content="{title}" />
<meta property="og:description" content="{description}" />
<meta property="og:url" content="{{{{ request.base_url }}}}" />
<meta property="og:image" content="{{{{ request.base_url }}}}gradio_api/file={picture}" />
<meta property="og:image:alt" content="{alt}" />
<meta name="twitter:card" content="summary_large_image" />
<meta name="twitter:title" content="{title}" />
<meta name="twitter:description" content="{description}" />
<meta name="twitter:image" content="{{{{ request.base_url }}}}gradio_api/file={picture}" />
"""


class _Replacing(BaseLoader):
    """Loads Gradio's template with this page's tags in place of Gradio's."""

    def __init__(self, inner: BaseLoader):
        self.inner = inner

    def get_source(self, environment: Environment, template: str):
        """Return the template's source, as Jinja asks for it."""
        if template != TEMPLATE:
            raise TemplateNotFound(template)
        source, file, fresh = self.inner.get_source(environment, template)
        words = TEXTS["en"]
        tags = OURS.format(
            title=words["title"], description=words["description"], picture=PICTURE, alt=words["share_alt"]
        )
        return THEIRS.sub("", source).replace("</head>", f"{tags}</head>", 1), file, fresh


def install() -> None:
    """Serve this page's own tags, picture and icon."""
    gr.set_static_paths([STATIC])
    environment = routes.templates.env
    if not isinstance(environment.loader, ChoiceLoader):
        environment.loader = ChoiceLoader([_Replacing(environment.loader), environment.loader])
