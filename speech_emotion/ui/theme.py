"""The page's theme: Gradio's base theme with this page's colours and type, which `style.css` refines."""

import gradio as gr

PAPER, CARD, INK, SOFT, LINE, BRAND = "#f6f5f1", "#ffffff", "#1c1b22", "#56535f", "#d9d6cf", "#4a35c8"
NIGHT, NIGHT_CARD, NIGHT_INK, NIGHT_SOFT, NIGHT_LINE, NIGHT_BRAND = (
    "#15141a", "#1f1d27", "#f3f1f8", "#b9b5c6", "#3a3747", "#b3a6ff",
)  # fmt: skip


class Theme(gr.themes.Base):
    """Warm paper and violet in light, deep violet in dark; the visitor's own system font."""

    def __init__(self):
        super().__init__(
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
            radius_size=gr.themes.sizes.radius_lg,
        )
        super().set(
            body_background_fill=PAPER,
            body_background_fill_dark=NIGHT,
            body_text_color=INK,
            body_text_color_dark=NIGHT_INK,
            body_text_color_subdued=SOFT,
            body_text_color_subdued_dark=NIGHT_SOFT,
            background_fill_primary=CARD,
            background_fill_primary_dark=NIGHT_CARD,
            background_fill_secondary=PAPER,
            background_fill_secondary_dark=NIGHT,
            border_color_primary=LINE,
            border_color_primary_dark=NIGHT_LINE,
            color_accent=BRAND,
            link_text_color=BRAND,
            link_text_color_dark=NIGHT_BRAND,
            block_background_fill="transparent",
            block_background_fill_dark="transparent",
            block_border_width="0px",
            block_shadow="none",
        )
