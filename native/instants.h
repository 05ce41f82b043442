// Instants as text. The Python side is instants.py: what is read here is the same there, to the bit.
#pragma once

#include <string_view>

namespace tidegate {

// Unix seconds of RFC 3339, to the microsecond: what is finer is cut off. False: it is none, or is written in a
// way that is left to others (a space for the T, a small z, no zone).
bool read_instant(std::string_view text, double &seconds);

} // namespace tidegate
