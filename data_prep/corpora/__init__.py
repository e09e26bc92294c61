"""One module per corpus, each saying what a file's name and tables mean, and nothing else.

A corpus module has `PATTERN`, which recognises its files by their names wherever they lie, and
`describe(path, match) -> Clip`, which raises `Rejected` for a name that breaks the corpus's own rules. `NAME`,
`HOMEPAGE`, `LICENSE`, `CITATION` (BibTeX) and `REDISTRIBUTABLE` (whether anyone may publish its audio as it is
in the dataset) are what the dataset's card and its publishing know of it.
A seventh corpus is one more module and one more row here.
"""

from data_prep.corpora import asvp_esd, crema_d, emov_db, ravdess, savee, tess

CORPORA = {
    "ravdess": ravdess,
    "crema_d": crema_d,
    "tess": tess,
    "savee": savee,
    "emov_db": emov_db,
    "asvp_esd": asvp_esd,
}
