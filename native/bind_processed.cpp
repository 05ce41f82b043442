// tidegate._core.Processed: what came of a batch.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "bind_batch.h"

extern "C" {
#include "rules.h"
#include "sessions.h"
}

namespace nb = nanobind;
using tidegate::Processed;
using tidegate::Results;

namespace {

// Whether each event was answered for the first time, and is what its session was waiting for.
bool is_plain(const Processed &processed) {
    const Results &results = *processed.results;
    for (size_t i = 0; i < results.n; i++)
        if (results.codes[i] > TG_BEGIN || (results.marks[i] & ~TG_MARK_ENDED)) return false;
    return true;
}

} // namespace

void bind_processed(nb::module_ &m) {
    nb::class_<Processed>(m, "Processed", "What came of a batch: an item an event.")
        .def_prop_ro("codes", [](const Processed &self) { return self.one(self.results->codes); })
        .def_prop_ro("seqs", [](const Processed &self) { return self.one(self.results->numbers); })
        .def_prop_ro("expected", [](const Processed &self) { return self.one(self.results->expected); })
        .def_prop_ro("times", [](const Processed &self) { return self.one(self.results->times); })
        .def_prop_ro("marks", [](const Processed &self) { return self.one(self.results->marks); })
        .def_prop_ro("outputs",
                     [](const Processed &self) { return self.two(self.results->outputs, self.results->n_outputs); })
        .def_prop_ro("faults", [](const Processed &self) { return self.two(self.results->faults, 2); })
        .def_prop_ro("plain", &is_plain,
                     "Whether each event was answered for the first time, and is what its session was waiting for.")
        .def_ro("encoder_before", &Processed::encoder_before)
        .def_ro("versions", &Processed::versions)
        .def_ro("changed", &Processed::changed);
}
