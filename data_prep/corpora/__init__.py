"""One module per corpus, which states what a file's name and tables mean, and nothing else.

A corpus module has these names:

- `PATTERN` matches the names of its files, in lower case and without their ending, wherever they lie.
- `parse_name(path, match)` returns a `Clip`, or raises `Rejected` for a name that breaks the corpus's own
  rules.
- `fits(path, match)` is there where another corpus has names of the same form. It returns whether the codes
  of this name can be of this corpus; `data_prep.find` decides by all names of a folder.
- `EMOTIONS` maps its codes to words of the label policy.
- `NAME`, `HOMEPAGE`, `LICENSE`, `ALLOWS` (what the licence allows, in plain words), `CITATION` (BibTeX) and
  `REDISTRIBUTABLE` (whether anyone may publish its audio as it is in the dataset) are for the dataset's card
  and for publishing.

A further corpus is one more module and one more row here.
"""

from data_prep.corpora import (
    ased,
    asvp_esd,
    banglaser,
    banglaser_ext,
    crema_d,
    emo_db,
    emov_db,
    emovo,
    eyase,
    ravdess,
    savee,
    tess,
    turev_db,
)

CORPORA = {
    "ravdess": ravdess,
    "crema_d": crema_d,
    "tess": tess,
    "savee": savee,
    "emov_db": emov_db,
    "asvp_esd": asvp_esd,
    "emovo": emovo,
    "ased": ased,
    "turev_db": turev_db,
    "banglaser": banglaser,
    "banglaser_ext": banglaser_ext,
    "eyase": eyase,
    "emo_db": emo_db,
}
