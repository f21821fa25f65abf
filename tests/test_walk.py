"""The traversal of a config: order, paths, keys, and dicts that are not entered."""

from detkit.walk import walk, walk_dicts

CONFIG = {"model": {"type": "M", "neck": [{"type": "N", "sizes": (1, 2)}]}, "seed": 0}


def test_walk_yields_parents_before_items_with_paths_and_keys():
    assert [(node.path, node.keys) for node in walk(CONFIG)] == [
        ("", ()),
        ("model", ("model",)),
        ("model.type", ("model", "type")),
        ("model.neck", ("model", "neck")),
        ("model.neck[0]", ("model", "neck")),
        ("model.neck[0].type", ("model", "neck", "type")),
        ("model.neck[0].sizes", ("model", "neck", "sizes")),
        ("model.neck[0].sizes[0]", ("model", "neck", "sizes")),
        ("model.neck[0].sizes[1]", ("model", "neck", "sizes")),
        ("seed", ("seed",)),
    ]


def test_parent_is_the_closest_dict():
    parents = {node.path: node.parent for node in walk(CONFIG)}
    assert parents[""] is None
    assert parents["model.neck[0]"] is CONFIG["model"]
    assert parents["model.neck[0].sizes[1]"] is CONFIG["model"]["neck"][0]


def test_items_of_a_node_that_is_not_entered_are_skipped():
    nodes = walk(CONFIG["model"], "model", "model", enter=lambda node: node.key != "neck")
    assert [node.path for node in nodes] == ["model", "model.type", "model.neck"]


def test_walk_dicts_yields_every_dict():
    value = [{"a": {"b": 1}}, ({},)]
    assert [path for path, _ in walk_dicts(value, "x")] == ["x[0]", "x[0].a", "x[1][0]"]


def test_a_yielded_dict_may_get_keys_before_its_items_are_visited():
    value = {"a": {}}
    for path, item in walk_dicts(value):
        item.setdefault("added", path)
    assert value == {"a": {"added": "a"}, "added": ""}


def test_a_leaf_has_one_node():
    assert [(node.path, node.value, node.key) for node in walk(3, "lr", "lr")] == [("lr", 3, "lr")]
