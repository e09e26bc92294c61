"""Publishing a folder as a model or a dataset on the Hugging Face Hub."""

from pathlib import Path

import httpx2
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled


class PublishError(ValueError):
    """A folder that cannot be published; the message is a sentence that says why."""


def publish_folder(folder: Path, name: str, kind: str = "model", private: bool = False) -> str:
    """Publish a folder in one commit, which replaces earlier files under that name.

    Args:
        folder: the folder, with its card in `README.md`.
        name: the hub id, as in `you/emotion`.
        kind: `model` or `dataset`.
        private: visible to the owner only. A name that is public already is then refused.

    Returns:
        Its address.

    Raises:
        PublishError: the hub cannot be reached or refuses, or the name is public already.
    """
    api = HfApi()
    try:
        url = api.create_repo(name, repo_type=kind, private=private, exist_ok=True)
        if private and not api.repo_info(url.repo_id, repo_type=kind).private:
            raise PublishError(f"{name} is public already, so nothing private is published there.")
        api.upload_folder(repo_id=url.repo_id, repo_type=kind, folder_path=folder, delete_patterns="*")
    except HFValidationError as error:
        raise PublishError(f"{name!r} is no name for the hub: {error}") from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code == 401:
            raise PublishError(
                f"The hub does not know who publishes {name}: log in with hf auth login, or set HF_TOKEN."
            ) from error
        reason = str(error).strip().splitlines()[-1]
        raise PublishError(f"The hub does not take {name}: {reason}") from error
    except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
        raise PublishError(
            f"{name} is not published: there is no way to {api.endpoint} ({error})."
        ) from error
    return str(url)
