// Lines of JSON, an event each, straight to columns, and columns to lines that answer them: a line costs
// some hundred nanoseconds, no object, and no interpreter.
//
// Only plain lines are read: what a client's serialiser writes for an event that is right. Everything else
// (an escape in a text, a member twice, whatever is wrong) is left to the JSON library,
// which reads it or words what is wrong with it. What is read here is what that library would have read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tidegate {

enum class Kind { numeric, boolean, category };

// A field of an event, and whether it has to be there.
struct Field {
    Field(std::string name, Kind kind, bool required);
    std::string name;
    Kind kind;
    bool required;
    std::string key; // `"name":`, as it is usually written; empty if it needs an escape
};

// The fields of a model's events.
struct Fields {
    explicit Fields(std::vector<Field> all);
    Fields(const Fields &) = delete;
    Fields &operator=(const Fields &) = delete;
    const std::vector<Field> all;
    std::unordered_map<std::string_view, size_t> places; // of each name
};

Kind kind_named(const std::string &name); // std::invalid_argument: there is no such kind

// Under a secret seed: whoever picks texts cannot know which will collide.
struct TextHash {
    size_t operator()(std::string_view text) const;
};

// Texts of a category: which text each line has, -1 where it has none.
struct Texts {
    std::vector<int32_t> codes;
    std::vector<std::string_view> words; // in the lines
    std::unordered_map<std::string_view, int32_t, TextHash> known;
};

// The events of some lines.
struct Lines {
    std::vector<int32_t> offsets; // of the sessions' ids in `ids`
    std::string ids;
    std::vector<int64_t> seqs; // 0: none given
    std::vector<double> times; // NaN: none given
    std::vector<uint8_t> flags; // 1 begins a session anew, 2 ends it
    std::vector<double> numbers; // a column each numeric or boolean field; NaN: missing
    std::vector<Texts> texts; // of each category
    bool timed = false, flagged = false;
};

// Seconds that a time may have, and the largest number of an event.
struct Bounds {
    double earliest, latest;
    int64_t most_seq;
};

// Read `count` lines; false: they are not all plain. What `data` ends with is followed by a byte that no
// number goes on with (a bytes object ends with 0).
bool read_lines(const Fields &fields, const Bounds &bounds, std::string_view data, size_t count,
                Lines &to);

// An event that came alone.
struct Body {
    std::string_view data;
    std::string_view session; // it may name none but this; of no bytes: it has to name its session itself
};

// Read bodies, each as one line; in `data`, a newline is a blank like any other.
bool read_bodies(const Fields &fields, const Bounds &bounds, const Body *bodies, size_t count,
                 Lines &to);

// Where a run of whole lines ends: `most` of them, or fewer that hold `bytes` each at most.
struct Run {
    size_t end; // behind its last newline
    size_t lines, filled; // and how many of them hold something
    bool cut; // the next line is too long
};
Run cut_lines(std::string_view data, size_t begin, size_t most, size_t bytes);

} // namespace tidegate
