// Events that were read from JSON, on their way to a table and to the words of their answers.
#ifndef TIDEGATE_BIND_EVENTS_H
#define TIDEGATE_BIND_EVENTS_H

#include <nanobind/nanobind.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "lines.h"

namespace tidegate {

namespace nb = nanobind;

constexpr size_t FEW = 16; // events to read that are not worth letting another thread have the interpreter's lock

// Immutable once read, so that it may be used without the interpreter's lock.
struct Events {
    std::shared_ptr<const Fields> fields;
    nb::object source; // keeps alive what texts point into
    size_t size;
    bool apart; // each came with a request of its own
    Lines lines;

    std::string_view session(size_t i) const {
        const int32_t *at = lines.offsets.data() + i;
        return {lines.ids.data() + at[0], static_cast<size_t>(at[1] - at[0])};
    }
};

} // namespace tidegate

#endif
