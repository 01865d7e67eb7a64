"""Where the files of a saved model are: a folder here, or a repository of the Hugging Face hub.

`huggingface_hub` is imported only when the hub is meant; folders need neither it nor a network.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from shapmix.inference.pretrained import CARD, CONFIG, WEIGHTS, PretrainedError
from shapmix.suggest import did_you_mean

FILES = (CONFIG, WEIGHTS, CARD)


def locate(
    name: str | Path, *, revision: str | None = None, token: str | bool | None = None
) -> Path:
    """The folder of a saved model; one of the hub is downloaded, or found in the cache.

    Only the three files that a saved model consists of are fetched, of it and of an ensemble's
    members. The hub is not asked for what begins with the name of a folder here.

    Raises:
        PretrainedError: there is no such folder, and nothing could be fetched either.
        ImportError: huggingface_hub is needed and not installed.
    """
    if Path(name).is_dir():
        return Path(name)
    if isinstance(name, Path) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise PretrainedError(
            f"{_no_folder(name)}: give one that save_pretrained or "
            "`shapmix export --folder` made, or a model of the Hugging Face hub such as owner/name"
        )
    owner = name.partition("/")[0]
    if Path(owner).is_dir():
        raise PretrainedError(
            f"{_no_folder(name)}; the Hugging Face hub was not asked for it, since {owner} is a "
            "folder here: correct the name, or load from the hub in another working folder"
        )
    try:
        hub = _hub()
    except ImportError as error:
        raise ImportError(f"{_no_folder(name)}, and {error}") from error
    wanted = [pattern for file in FILES for pattern in (file, f"member-*/{file}")]
    try:
        return Path(
            hub.snapshot_download(name, revision=revision, token=token, allow_patterns=wanted)
        )
    except Exception as error:  # of the network, the server or the cache, of many types
        raise PretrainedError(
            f"{_no_folder(name)}, and the Hugging Face hub gave {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}"
        ) from error


def _no_folder(name: str | Path) -> str:
    """That there is none of this name, and the nearest that there is."""
    missing = Path(name)
    while not missing.parent.is_dir():
        missing = missing.parent
    beside = [path.name for path in missing.parent.iterdir() if path.is_dir()]
    return f"there is no folder {name}{did_you_mean(missing.name, beside)}"


def push(
    save: Callable[[Path], None],
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    message: str,
) -> str:
    """Make a repository of the hub if there is none, and commit a saved model to it.

    Args:
        save: writes the model into a folder.
        repo_id: owner/name. private: of a new repository. token: the user's own, else the one that
            `hf auth login` stored. message: of the commit.

    Returns:
        The address of the commit.
    """
    api = _hub().HfApi(token=token)
    made = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        return str(api.upload_folder(repo_id=made, folder_path=folder, commit_message=message))


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "the Hugging Face hub needs huggingface_hub: pip install 'shapmix[hub]'"
        ) from error
    return huggingface_hub
