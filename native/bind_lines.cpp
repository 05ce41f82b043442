// tidegate._core: lines and bodies of JSON to events (native/lines.h), and their answers (native/answers.h).
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "answers.h"
#include "bind_batch.h"
#include "bind_events.h"
#include "lines.h"

extern "C" {
#include "rules.h"
#include "sessions.h"
}

namespace nb = nanobind;
using namespace nb::literals;
using tidegate::Answered;
using tidegate::AnswerWords;
using tidegate::Body;
using tidegate::Bounds;
using tidegate::Events;
using tidegate::Field;
using tidegate::Fields;
using tidegate::Kind;
using tidegate::Piece;
using tidegate::Processed;
using tidegate::Results;

namespace {

std::string_view view_of(nb::handle bytes) {
    return {PyBytes_AsString(bytes.ptr()), static_cast<size_t>(PyBytes_Size(bytes.ptr()))};
}

class LinePlan {
public:
    // name, kind, required
    using FieldSpec = std::tuple<std::string, std::string, bool>;

    LinePlan(const std::vector<FieldSpec> &specs, double earliest, double latest, int64_t most_seq)
        : bounds_{earliest, latest, most_seq} {
        if (most_seq < 1 || most_seq == INT64_MAX) throw nb::value_error("most_seq: not in 1 to 2^63 - 2");
        std::vector<Field> fields;
        for (const auto &[name, kind, required] : specs)
            fields.emplace_back(name, tidegate::kind_named(kind), required);
        fields_ = std::make_shared<const Fields>(std::move(fields));
    }

    // These two give nothing where not all is plain; what they give is the caller's.
    Events *read_lines(nb::bytes data, size_t count) const {
        std::unique_ptr<Events> events(new Events{fields_, data, count, false, {}});
        std::optional<nb::gil_scoped_release> release;
        if (count > tidegate::FEW) release.emplace();
        if (!tidegate::read_lines(*fields_, bounds_, view_of(data), count, events->lines)) return nullptr;
        return events.release();
    }

    Events *read_bodies(nb::list bodies, nb::list sessions) const {
        if (bodies.size() != sessions.size()) throw nb::value_error("sessions: not one for each body");
        std::vector<Body> each;
        for (size_t i = 0; i < bodies.size(); i++) {
            const nb::object body = bodies[i], session = sessions[i];
            if (!PyBytes_Check(body.ptr())) throw nb::type_error("bodies: not bytes");
            if (!PyUnicode_Check(session.ptr())) throw nb::type_error("sessions: not str");
            Py_ssize_t size;
            const char *name = PyUnicode_AsUTF8AndSize(session.ptr(), &size);
            if (!name) { // half of a surrogate pair
                PyErr_Clear();
                return nullptr;
            }
            each.push_back({view_of(body), {name, static_cast<size_t>(size)}});
        }
        std::unique_ptr<Events> events(new Events{fields_, nb::tuple(bodies), each.size(), true, {}});
        if (!tidegate::read_bodies(*fields_, bounds_, each.data(), each.size(), events->lines)) return nullptr;
        return events.release();
    }

private:
    std::shared_ptr<const Fields> fields_;
    Bounds bounds_;
};

// ---- What Python sees of events ----

nb::str text_of(std::string_view text) { return nb::str(text.data(), text.size()); }

size_t row_of(const Events &events, size_t index) {
    if (index >= events.size) throw nb::index_error("events: there are not as many");
    return index;
}

nb::list sessions_of(const Events &events) {
    nb::list names;
    for (size_t i = 0; i < events.size; i++) names.append(text_of(events.session(i)));
    return names;
}

// An array that keeps the events alive, and may only be read.
template <typename T> nb::object array_of(nb::handle events, const T *data, size_t size) {
    return nb::cast(nb::ndarray<nb::numpy, const T>(data, {size}, events));
}

nb::dict columns_of(nb::handle self) {
    const Events &events = nb::cast<const Events &>(self);
    nb::dict columns;
    const double *numbers = events.lines.numbers.data();
    auto texts = events.lines.texts.begin();
    for (const Field &field : events.fields->all) {
        const nb::str name = text_of(field.name);
        if (field.kind == Kind::category) {
            nb::list words;
            for (const std::string_view word : texts->words) words.append(text_of(word));
            columns[name] = nb::make_tuple(array_of(self, texts->codes.data(), events.size), words);
            texts++;
        } else {
            columns[name] = array_of(self, numbers, events.size);
            numbers += events.size;
        }
    }
    return columns;
}

// ---- Answers ----

Answered answer_of(const Events &events, const Results &results, size_t i) {
    const uint8_t marks = results.marks[i];
    return {events.session(i), results.numbers[i], results.times[i], (marks & TG_MARK_DUPLICATE) != 0,
            (marks & TG_MARK_RESET) != 0, results.outputs + i * results.n_outputs};
}

const Results &check_answers(const AnswerWords &words, const Events &events, const Processed &processed) {
    const Results &results = *processed.results;
    if (results.n != events.size) throw nb::value_error("processed: not of these events");
    if (results.n_outputs != words.outputs()) throw nb::value_error("processed: its outputs are not the task's");
    for (size_t i = 0; i < results.n; i++)
        if (results.codes[i] > TG_REPEAT) throw nb::value_error("processed: not all events were answered");
    return results;
}

// ("number", literal, index, scale, mean), ("above", literal, index, threshold) or ("name", literal, index, names)
AnswerWords template_of(std::string version, size_t size, nb::list given, std::string tail) {
    using Kind = Piece::Kind;
    struct Catalogue {
        nb::object names; // kept alive: no other object gets its address
        std::shared_ptr<const std::vector<std::string>> texts;
    };
    std::map<PyObject *, Catalogue> catalogues;
    std::vector<Piece> pieces;
    for (const nb::handle each : given) {
        const nb::tuple parts = nb::cast<nb::tuple>(each, false);
        const auto kind = parts.size() > 3 ? nb::cast<std::string>(parts[0]) : std::string();
        const bool is_number = kind == "number" && parts.size() == 5;
        if (!is_number && !((kind == "above" || kind == "name") && parts.size() == 4))
            throw nb::value_error("pieces: one is no number, above or name");
        Piece piece{nb::cast<std::string>(parts[1]), Kind::number, nb::cast<size_t>(parts[2])};
        if (piece.index >= size) throw nb::value_error("pieces: an index is not below the size");
        if (is_number) {
            piece.scale = nb::cast<double>(parts[3]);
            piece.mean = nb::cast<double>(parts[4]);
        } else if (kind == "above") {
            piece.kind = Kind::above;
            piece.threshold = nb::cast<double>(parts[3]);
        } else {
            piece.kind = Kind::name;
            const nb::object names = parts[3];
            Catalogue &known = catalogues[names.ptr()];
            if (!known.texts)
                known = {names, std::make_shared<const std::vector<std::string>>(
                                    nb::cast<std::vector<std::string>>(names))};
            piece.names = known.texts;
        }
        pieces.push_back(std::move(piece));
    }
    return {std::move(version), size, std::move(pieces), std::move(tail)};
}

nb::bytes write_lines(const AnswerWords &words, const Events &events, const Processed &processed) {
    const Results &results = check_answers(words, events, processed);
    std::string text;
    {
        nb::gil_scoped_release release;
        for (size_t i = 0; i < events.size; i++) {
            words.write(text, answer_of(events, results, i));
            text += '\n';
        }
    }
    return nb::bytes(text.data(), text.size());
}

nb::list write_bodies(const AnswerWords &words, const Events &events, const Processed &processed) {
    const Results &results = check_answers(words, events, processed);
    nb::list bodies;
    std::string text;
    for (size_t i = 0; i < events.size; i++) {
        text.clear();
        words.write(text, answer_of(events, results, i));
        bodies.append(nb::bytes(text.data(), text.size()));
    }
    return bodies;
}

nb::list write_answers(const AnswerWords &words, const tidegate::ArrayOf<float, 2> &outputs) {
    if (outputs.shape(1) != words.outputs()) throw nb::value_error("outputs: not as many as the task's");
    nb::list answers;
    for (size_t i = 0; i < outputs.shape(0); i++) {
        std::string text;
        words.write_answer(text, outputs.data() + i * outputs.shape(1));
        answers.append(nb::bytes(text.data(), text.size()));
    }
    return answers;
}

} // namespace

void bind_lines(nb::module_ &m) {
    nb::class_<Events>(m, "Events", "Events that were read from JSON: what a Table steps.")
        .def("__len__", [](const Events &self) { return self.size; })
        .def("session", [](const Events &self, size_t i) { return text_of(self.session(row_of(self, i))); },
             "index"_a, "The id of one event's session.")
        .def("sessions", &sessions_of, "Those of all.")
        .def_prop_ro("seqs", [](nb::handle self) {
            const Events &events = nb::cast<const Events &>(self);
            return array_of(self, events.lines.seqs.data(), events.size);
        })
        .def_prop_ro("times", [](nb::handle self) {
            const Events &events = nb::cast<const Events &>(self);
            return events.lines.timed ? array_of(self, events.lines.times.data(), events.size) : nb::none();
        })
        .def_prop_ro("flags", [](nb::handle self) {
            const Events &events = nb::cast<const Events &>(self);
            return events.lines.flagged ? array_of(self, events.lines.flags.data(), events.size) : nb::none();
        })
        .def_prop_ro("columns", &columns_of, "Their fields, as `Table.process` takes them.");
    nb::class_<LinePlan>(m, "LinePlan", "What events in JSON may hold: fields, as for Typing, and bounds.")
        .def(nb::init<const std::vector<LinePlan::FieldSpec> &, double, double, int64_t>(), "fields"_a,
             "earliest"_a, "latest"_a, "most_seq"_a)
        .def("read_lines", &LinePlan::read_lines, "data"_a, "count"_a, nb::rv_policy::take_ownership,
             "The events of as many lines; None: they are not all plain.")
        .def("read_bodies", &LinePlan::read_bodies, "bodies"_a, "sessions"_a,
             nb::rv_policy::take_ownership,
             "The events of bodies, one each, and the sessions of their paths (\"\": the body names its session).\n"
             "None: they are not all plain.");
    nb::class_<AnswerWords>(m, "AnswerWords", "A task's answers as JSON, to the bit as `tidegate.answers` has them.")
        .def_static("classify", [](std::string version, std::vector<std::string> classes, std::string word, size_t most) {
            if (classes.size() < 2) throw nb::value_error("classes: fewer than two");
            return AnswerWords(std::move(version), std::move(classes), std::move(word), most);
        }, "version"_a, "classes"_a, "word"_a = "label", "most"_a = 0,
           "The version and the names are JSON. Of more classes than `most`, if it is not 0, that many are named.")
        .def_static("template", [](std::string version, size_t size, nb::list pieces, std::string tail) {
            try {
                return template_of(std::move(version), size, std::move(pieces), std::move(tail));
            } catch (const nb::cast_error &) {
                throw nb::type_error("pieces: one has a part of a wrong type");
            }
        }, "version"_a, "size"_a, "pieces"_a, "tail"_a,
           "Of `size` numbers: JSON, and behind each part of it a number (\"number\", literal, index, scale, mean),\n"
           "whether it is above (\"above\", literal, index, threshold) or the text (\"name\", literal, index, names)\n"
           "that it is the index of, null where there is none; then the tail. The version and the names are JSON.")
        .def("lines", &write_lines, "events"_a, "processed"_a, "A line each.")
        .def("answers", [](const AnswerWords &self, nb::handle outputs) {
            return write_answers(self, tidegate::ArrayOf<float, 2>(outputs, "outputs"));
        }, "outputs"_a, "The task's words alone, of each row of outputs.")
        .def("bodies", &write_bodies, "events"_a, "processed"_a, "A body each.");
    m.def(
        "cut_lines",
        [](nb::bytes data, size_t begin, size_t most, size_t bytes) {
            const tidegate::Run run = tidegate::cut_lines(view_of(data), begin, most, bytes);
            return std::tuple(run.end, run.lines, run.filled, run.cut);
        },
        "data"_a, "begin"_a, "most"_a, "bytes"_a,
        "Where a run of whole lines ends, how many there are, how many hold something, and whether the next "
        "one is too long.");
}
