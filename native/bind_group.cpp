// Groups of changes seen from Python.
#include <nanobind/nanobind.h>

#include <cstring>
#include <new>

#include "bind_group.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

void add(Group &self, const nb::bytes &key, const nb::bytes &value, int kind, double stamp) {
    if (key.size() == 0 || key.size() > UINT16_MAX) throw nb::value_error("key: not 1 to 65,535 bytes");
    if (value.size() > UINT32_MAX) throw nb::value_error("value: 4 GiB or more");
    if (kind < TG_FRAME_VALUE || kind > TG_FRAME_DELETE) throw nb::value_error("kind: not 1 to 4");
    uint8_t *at = tg_group_add(&self.group, key.data(), key.size(), static_cast<tg_frame_kind>(kind),
                               stamp, value.size());
    if (!at) throw std::bad_alloc();
    if (value.size()) std::memcpy(at, value.data(), value.size());
    tg_group_seal(&self.group);
}

nb::list items(const Group &self) {
    nb::list found;
    for (size_t i = 0; i < self.group.n; i++) {
        const tg_frame *frame = tg_group_frame(&self.group, i);
        nb::object value = nb::none();
        if (frame->kind != TG_FRAME_DELETE)
            value = nb::bytes(tg_frame_value(frame), frame->value_size);
        found.append(nb::make_tuple(nb::bytes(tg_frame_key(frame), frame->key_size), value));
    }
    return found;
}

} // namespace

void bind_group(nb::module_ &m) {
    nb::class_<Group>(m, "Group", "Changes that a log takes together, as it will write them.")
        .def(nb::init<>())
        .def("add", &add, "key"_a, "value"_a, "kind"_a = static_cast<int>(TG_FRAME_VALUE), "stamp"_a = 0.0,
             "Put a value: kind 1 one that does not age, 2 a live session's, 3 a tombstone's.")
        .def(
            "delete",
            [](Group &self, const nb::bytes &key) {
                add(self, key, nb::bytes("", 0), TG_FRAME_DELETE, 0.0);
            },
            "key"_a, "Forget a key.")
        .def("clear", [](Group &self) { tg_group_clear(&self.group); }, "Forget all of them.")
        .def("items", &items, "Keys and values in order; None: forgotten.")
        .def("__len__", [](const Group &self) { return self.group.n; })
        .def_prop_ro("nbytes", [](const Group &self) { return self.group.size; });
}
