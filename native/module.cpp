// tidegate._core: the C core seen from Python. One file binds each part.
#include <nanobind/nanobind.h>

#include <cstdint>

extern "C" {
#include "crc32c.h"
#include "xxh64.h"
}

namespace nb = nanobind;
using namespace nb::literals;

void bind_arena(nb::module_ &m);
void bind_encode(nb::module_ &m);
void bind_engine(nb::module_ &m);
void bind_group(nb::module_ &m);
void bind_lines(nb::module_ &m);
void bind_log(nb::module_ &m);
void bind_model(nb::module_ &m);
void bind_peaks(nb::module_ &m);
void bind_processed(nb::module_ &m);
void bind_rules(nb::module_ &m);
void bind_table(nb::module_ &m);
void bind_train(nb::module_ &m);
void bind_typing(nb::module_ &m);

NB_MODULE(_core, m) {
    // What lives when the interpreter ends is the interpreter's business, and no news for users.
    nb::set_leak_warnings(false);
    m.doc() = "The C core of tidegate: recurrent steps, the schema, checksums.";

    m.def(
        "crc32c",
        [](nb::bytes data, uint32_t value) {
            return tg_crc32c(value, static_cast<const uint8_t *>(data.data()), data.size());
        },
        "data"_a, "value"_a = 0, "CRC-32C of the bytes, continued from an earlier value.");
    m.def(
        "xxh64", [](nb::bytes data, uint64_t seed) { return tg_xxh64(data.data(), data.size(), seed); },
        "data"_a, "seed"_a = 0, "XXH64 of the bytes.");
    bind_arena(m);
    bind_encode(m);
    bind_group(m);
    bind_lines(m);
    bind_log(m);
    bind_model(m);
    bind_engine(m);
    bind_peaks(m);
    bind_processed(m);
    bind_rules(m);
    bind_table(m);
    bind_train(m);
    bind_typing(m);
}
