"""The patches that change an object: merge, JSON, strategic merge, and server-side apply.

It must never change the object that it is given; it returns another.
"""

from __future__ import annotations

from registrar.embedded.schema import Field, Type
from registrar.embedded.status import StatusError, failure
from registrar.embedded.values import Json, Object, as_list, as_object, as_text, copy, is_number


def merge(target: Json, patch: Json) -> Json:
    """Return the result of a JSON merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    done: Object = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            done.pop(key, None)
        else:
            done[key] = merge(done.get(key), value)
    return done


# --- JSON patch, RFC 6902 ----------------------------------------------------------------------


def json_patch(target: Object, operations: Json) -> Json:
    """Return the result of a JSON patch. Raise StatusError, 422, where it can't be done."""
    done: Json = copy(target)
    for operation in map(as_object, as_list(operations)):
        done = _operate(done, operation)
    return done


def _operate(whole: Json, operation: Object) -> Json:
    name, path = as_text(operation.get("op")), _pointer(operation.get("path"))
    value = operation.get("value")
    if name in {"move", "copy"}:
        source = _pointer(operation.get("from"))
        value = _look(whole, source)
        if name == "move":
            whole = _change(whole, source, "remove", None)
        return _change(whole, path, "add", value)
    if name == "test":
        if _look(whole, path) != value:
            raise _impossible(f"testing path {operation.get('path')} failed")
        return whole
    if name not in {"add", "remove", "replace"}:
        raise _impossible(f"unexpected kind: {name}")
    return _change(whole, path, name, value)


def _pointer(text: Json) -> list[str]:
    parts = as_text(text).split("/")[1:]
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def _look(whole: Json, path: list[str]) -> Json:
    for key in path:
        if isinstance(whole, dict) and key in whole:
            whole = whole[key]
        elif isinstance(whole, list) and is_number(key) and int(key) < len(whole):
            whole = whole[int(key)]
        else:
            raise _impossible(f"unable to find path: /{'/'.join(path)}")
    return whole


def _change(whole: Json, path: list[str], name: str, value: Json) -> Json:
    if not path:
        return value
    parent, key = _look(whole, path[:-1]), path[-1]
    if isinstance(parent, list):
        _change_list(parent, key, name, value)
    elif isinstance(parent, dict) and (name == "add" or key in parent):
        if name == "remove":
            del parent[key]
        else:
            parent[key] = value
    else:
        raise _impossible(f"unable to find path: /{'/'.join(path)}")
    return whole


def _change_list(parent: list[Json], key: str, name: str, value: Json) -> None:
    index = len(parent) if key == "-" else int(key) if is_number(key) else -1
    if not 0 <= index < len(parent) + (name == "add"):
        raise _impossible(f"invalid index referenced: {key}")
    if name == "add":
        parent.insert(index, value)
    elif name == "remove":
        del parent[index]
    else:
        parent[index] = value


def _impossible(why: str) -> StatusError:
    del why  # the real one doesn't say it either
    return failure(422, "Invalid", "the server rejected our request due to an error in our request")


# --- strategic merge patch -------------------------------------------------------------------

_ORDER, _DELETE, _RETAIN = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys"


def strategic(target: Object, patch: Object, type_: Type | None) -> Object:
    """Return the result of a strategic merge patch, for a type whose lists say how they merge."""
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    kept = as_list(patch.get(_RETAIN, list(target)))
    done = {key: value for key, value in target.items() if key in kept}
    fields = type_.fields if type_ else {}
    for key, value in patch.items():
        if key.startswith(_DELETE):
            name = key.removeprefix(_DELETE)
            done[name] = [v for v in as_list(done.get(name)) if v not in as_list(value)]
        elif key.startswith("$"):
            continue
        elif value is None:
            done.pop(key, None)
        else:
            done[key] = _strategic_value(done.get(key), value, fields.get(key))
    for name in [key.removeprefix(_ORDER) for key in patch if key.startswith(_ORDER)]:
        if name in done:
            order, old = as_list(patch[_ORDER + name]), as_list(target.get(name))
            done[name] = _ordered(done[name], order, old, fields.get(name))
    return done


def _strategic_value(old: Json, new: Json, field: Field | None) -> Json:
    if isinstance(new, dict):
        type_ = field.type if field and field.type.kind == "struct" else None
        return strategic(as_object(old), new, type_)
    if not isinstance(new, list) or field is None or field.merge_key is None:
        return new
    if field.merge_key == "":
        return [*as_list(old), *(value for value in new if value not in as_list(old))]
    return _strategic_list(as_list(old), new, field)


def _strategic_list(old: list[Json], new: list[Json], field: Field) -> list[Json]:
    key = field.merge_key or ""
    items = [as_object(item) for item in new]
    if any(item.get("$patch") == "replace" for item in items):
        return [item for item in items if item.get("$patch") != "replace"]
    done = [as_object(item) for item in old]
    for item in items:
        index = next((i for i, was in enumerate(done) if was.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            done = [was for was in done if was.get(key) != item.get(key)]
        elif index is None:
            done.append(strategic({}, item, field.type.of))
        else:
            done[index] = strategic(done[index], item, field.type.of)
    return _interleaved(list(done), [item.get(key) for item in items], old, key)


def _ordered(value: Json, order: list[Json], old: list[Json], field: Field | None) -> Json:
    key = (field.merge_key if field else None) or ""
    return _interleaved(as_list(value), [_identity(item, key) for item in order], old, key)


def _identity(item: Json, key: str) -> Json:
    return as_object(item).get(key) if key else item


def _interleaved(items: list[Json], wanted: list[Json], old: list[Json], key: str) -> list[Json]:
    # Those of the patch in its order, the others in theirs; where both are old, as they were.
    places = [_identity(item, key) for item in old]
    named = [item for item in items if _identity(item, key) in wanted]
    named.sort(key=lambda item: wanted.index(_identity(item, key)))
    others = [item for item in items if _identity(item, key) not in wanted]
    done: list[Json] = []
    while named and others:
        ours, theirs = _identity(named[0], key), _identity(others[0], key)
        first = ours not in places or places.index(ours) < places.index(theirs)
        done.append((named if first else others).pop(0))
    return done + named + others


# --- server-side apply -----------------------------------------------------------------------


def apply(live: Json, config: Json, last: Json, type_: Type) -> Json:
    """Return what is live, with what is applied; what was applied last, and no more, goes."""
    if type_.kind == "scalar":
        return config
    if type_.kind == "list":
        return config
    done = dict(as_object(live))
    new, old = as_object(config), as_object(last)
    for key in old.keys() - new.keys():
        field = type_.fields.get(key)
        if field and field.apply_keys is not None:
            done[key] = _apply_list(done.get(key), [], old[key], field)
        elif field and field.type.kind in {"struct", "map"}:
            done[key] = apply(done.get(key), {}, old[key], field.type)
        else:
            done.pop(key, None)
    for key, value in new.items():
        field = type_.fields.get(key)
        if field and field.apply_keys is not None:
            done[key] = _apply_list(done.get(key), value, old.get(key), field)
        elif field and field.type.kind in {"struct", "map"}:
            done[key] = apply(done.get(key), value, old.get(key), field.type)
        else:
            done[key] = value
    return done


def _apply_list(live: Json, config: Json, last: Json, field: Field) -> list[Json]:
    def identity(item: Json) -> Json:
        if not field.apply_keys:
            return item
        keys = {"protocol": "TCP"} | as_object(item)
        return [keys.get(key) for key in field.apply_keys]

    of = field.type.of
    wanted = [identity(item) for item in as_list(config)]
    gone = [i for i in map(identity, as_list(last)) if i not in wanted]
    kept = [item for item in as_list(live) if identity(item) not in gone]
    done: list[Json] = []
    for item in as_list(config):
        was = next((k for k in kept if identity(k) == identity(item)), None)
        before = next((k for k in as_list(last) if identity(k) == identity(item)), None)
        done.append(apply(was, item, before, of) if of and of.kind == "struct" else item)
    return done + [item for item in kept if identity(item) not in wanted]
