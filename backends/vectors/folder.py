"""What a model's folder says of itself, in the files of sentence-transformers and transformers. Pure."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from backends.contract.engine import Progress
from backends.contract.errors import EngineFailed
from backends.contract.tasks import InputType

_LIMITS = (
    ("sentence_bert_config.json", "max_seq_length"),
    ("tokenizer_config.json", "model_max_length"),
    ("config.json", "max_position_embeddings"),
)
# A tokenizer without a limit says so with 10^30.
_NO_LIMIT = 10**6
# Their positions begin after the padding's id, so they have fewer than they declare.
_LATE_POSITIONS = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"})


class Prompts(NamedTuple):
    """What is put before a text, by what it is to the model; `untold`: where nobody said."""

    query: str = ""
    document: str = ""
    untold: str = ""

    def of(self, input_type: InputType | None) -> str:
        return self.untold if input_type is None else self[input_type == "document"]


def read_json(path: Path) -> Any:
    """None where there is no file. Raises EngineFailed where it is no JSON."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise EngineFailed(f"the model's {path.name} is not JSON") from None


def read_object(path: Path) -> dict[str, Any]:
    """Empty where there is no file. Raises EngineFailed for anything but an object."""
    found = read_json(path)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise EngineFailed(f"the model's {path.name} is not a JSON object")
    return found


def max_tokens(folder: Path) -> int | None:
    """The longest text with its special tokens; None where no file says."""
    config = read_object(folder / "config.json")
    late = int(config.get("pad_token_id") or 0) + 1 if config.get("model_type") in _LATE_POSITIONS else 0
    limits = []
    for file, key in _LIMITS:
        declared = read_object(folder / file).get(key)
        if isinstance(declared, int | float) and 0 < declared < _NO_LIMIT:
            limits.append(int(declared) - (late if key == "max_position_embeddings" else 0))
    return min(limits, default=None)


def modules(folder: Path) -> list[tuple[str, str]]:
    """(type, folder within) of each module of a sentence-transformers model; none for other folders."""
    found = read_json(folder / "modules.json")
    if found is None:
        return []
    try:
        return [(str(each["type"]), str(each["path"])) for each in found]
    except (TypeError, KeyError):
        raise EngineFailed("the model's modules.json is not understood") from None


def kind(module: str) -> str:
    """`sentence_transformers.models.Pooling` → `Pooling`."""
    return module.rpartition(".")[2]


def pooling(folder: Path) -> list[str]:
    """How tokens become one vector, of each part of it; empty where no file says. The older form has a
    flag per way, the newer one name."""
    said = _pooling(folder)
    named = said.get("pooling_mode")
    if named is not None:
        return named.split("+") if isinstance(named, str) else list(map(str, named))
    flags = {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
    # In the order in which sentence-transformers puts them together.
    keys = [*flags, *(key for key in said if key.startswith("pooling_mode_") and key not in flags)]
    return [flags.get(key, key) for key in keys if said.get(key) is True]


def _pooling(folder: Path) -> dict[str, Any]:
    where = next((path for module, path in modules(folder) if kind(module) == "Pooling"), "1_Pooling")
    return read_object(folder / where / "config.json")


def normalised(folder: Path) -> bool:
    """Whether vectors have length 1: as the modules say, and where there are none, as OpenAI's have."""
    kinds = [kind(module) for module, _ in modules(folder)]
    return not kinds or "Normalize" in kinds


def prompts(folder: Path) -> Prompts:
    said = read_object(folder / "config_sentence_transformers.json")
    known = {name: text for name, text in (said.get("prompts") or {}).items() if isinstance(text, str)}
    document = next((known[name] for name in ("document", "passage", "corpus") if known.get(name)), "")
    return Prompts(known.get("query", ""), document, known.get(said.get("default_prompt_name") or "", ""))


def pools_prompts(folder: Path) -> bool:
    """Whether the tokens of a prompt are part of the vector."""
    return _pooling(folder).get("include_prompt") is not False


def lower_case(folder: Path) -> bool:
    """Whether texts are to be put in lower case before the tokenizer sees them."""
    return read_object(folder / "sentence_bert_config.json").get("do_lower_case") is True


def is_cross_encoder(folder: Path) -> bool:
    """Whether the model judges a pair of texts by one score. Raises EngineFailed for one that sorts them
    into several classes."""
    config = read_object(folder / "config.json")
    named = config.get("architectures") or []
    if not any(str(name).endswith("ForSequenceClassification") for name in named):
        return False
    labels = config.get("num_labels") or len(config.get("id2label") or "12")
    if labels != 1:
        raise EngineFailed(f"the model sorts into {labels} classes: a reranker has one score")
    return True


def working(folder: Path | None, longest: int) -> int:
    """Bytes that a token of a batch takes while it is computed, by the shape of the model; `longest`: the
    tokens that each looks at. MiniLM's where no file says."""
    config = read_object(folder / "config.json") if folder else {}
    width = int(config.get("hidden_size") or 384)
    inner = int(config.get("intermediate_size") or 4 * width)
    heads = int(config.get("num_attention_heads") or width // 32)
    return 4 * (8 * width + 4 * inner + 2 * heads * longest)


def revision(files: Iterable[Path], note: Progress) -> str:
    """The sha256 of a weights' file; of several, of their digests in order."""
    digests = [_sha256(file, note) for file in files]
    if len(digests) == 1:
        return digests[0].hex()
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _sha256(file: Path, note: Progress) -> bytes:
    digest, done, size = hashlib.sha256(), 0, file.stat().st_size
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
            done += len(chunk)
            note("checking", done / size)
    return digest.digest()
