"""English names of the languages of the corpora, by BCP 47 code."""

LANGUAGES = {
    "am": "Amharic",
    "ar": "Arabic",
    "ar-EG": "Egyptian Arabic",
    "bn": "Bangla",
    "de": "German",
    "en": "English",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ko": "Korean",
    "tr": "Turkish",
    "mul": "several languages",
    "und": "not known",
    "zxx": "no words",
}


def language_name(code: str | None) -> str:
    """Return a language's English name, or its code where this project knows no name."""
    return LANGUAGES.get(code, code) if code else "not stated"
