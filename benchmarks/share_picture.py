"""Draw the picture and the icon that a shared link to the app shows, in real Chromium.

    python benchmarks/share_picture.py

Needs the development requirements and Debian's package chromium. Writes speech_emotion/ui/static/*.png.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from speech_emotion.ui.avatar import draw_face
from speech_emotion.ui.social import ICON, PICTURE
from speech_emotion.ui.wording import TEXTS

BARS = (("Happy", 71, "#9a5b00"), ("Surprised", 18, "#806500"), ("Calm", 6, "#1f6f9c"))


def main() -> None:
    """Draw both pictures."""
    face = draw_face({"happy": 1.0}, 300)
    rows = "".join(
        "<p style='display:grid;grid-template-columns:190px 1fr;align-items:center;margin:22px "
        "0;font-weight:650'>"
        f"{name}<i style='display:block;height:22px;border-radius:99px;width:{share}%;background:{colour}'>"
        "</i></p>"
        for name, share, colour in BARS
    )
    card = (
        "<body style='margin:0;background:#f6f5f1;color:#1c1b22;font:32px/1.3 "
        "system-ui,sans-serif;width:1200px;height:630px;"
        "display:grid;place-content:center'><h1 style='font-size:68px;letter-spacing:-.02em;margin:0 0 28px'>"
        f"{TEXTS['en']['title']}</h1><div style='display:grid;grid-template-columns:320px "
        f"640px;gap:40px;align-items:center'>{face}<div>{rows}</div></div>"
    )
    icon = f"<body style='margin:0;background:transparent'>{draw_face({'happy': 1.0}, 128)}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for html, file, width, height in ((card, PICTURE, 1200, 630), (icon, ICON, 128, 128)):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_content(html)
            page.screenshot(path=file, omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
