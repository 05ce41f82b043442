// tidegate._core.Table: the sessions of a server. Ids, arrays and sizes are validated here and in
// bind_batch.h, once; the C below trusts its caller. While a batch is processed, the interpreter's lock is
// released, unless that takes longer than the batch.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "bind_arena.h"
#include "bind_batch.h"
#include "bind_encode.h"
#include "bind_events.h"
#include "bind_group.h"
#include "bind_model.h"

extern "C" {
#include "kept.h"
#include "sessions.h"
}

namespace nb = nanobind;
using namespace nb::literals;
using tidegate::Array;
using tidegate::Encoder;
using tidegate::Events;
using tidegate::Ids;
using tidegate::Lines;
using tidegate::Model;
using tidegate::Optional;
using tidegate::Processed;
using tidegate::refuse;
using tidegate::Results;

namespace {

tg_span span_of(const nb::bytes &bytes) {
    return {static_cast<const uint8_t *>(bytes.data()), bytes.size()};
}

nb::bytes bytes_of(tg_span span) { return nb::bytes(span.data, span.size); }

nb::str text_of(tg_span span) { return nb::str(reinterpret_cast<const char *>(span.data), span.size); }

class Table {
public:
    Table(nb::object model, nb::object encoder, const nb::bytes &fingerprint, const std::string &model_version,
          const nb::bytes &key_prefix, size_t answers, size_t answer_bytes, double ttl_seconds,
          double tombstone_seconds)
        : model_object_(model), encoder_object_(encoder), model_(nb::cast<const Model &>(model)),
          encoder_(nb::cast<const Encoder &>(encoder)) {
        const tg_schema *schema = encoder_.schema();
        if (!model_.ready()) refuse("model: it has no head yet");
        if (schema->width != model_.model().row_size) refuse("encoder: its rows are not the model's");
        if (fingerprint.size() != TG_FINGERPRINT_SIZE) refuse("fingerprint: not 32 bytes");
        if (model_version.size() >= size_t{1} << 16) refuse("model_version: 64 KiB or more");
        if (key_prefix.size() > 32768) refuse("key_prefix: more than 32 KiB");
        if (answers == 0 || answers > 65536) refuse("answers: not in 1 to 65,536");
        if (answer_bytes > size_t{1} << 30) refuse("answer_bytes: more than 1 GiB");
        if (!(ttl_seconds >= 0)) refuse("ttl_seconds: negative");
        if (!(tombstone_seconds >= 0)) refuse("tombstone_seconds: negative");
        tg_table_options options{};
        options.model = &model_.model();
        options.schema = schema;
        options.positions = encoder_.positions();
        options.fingerprint = span_of(fingerprint).data;
        options.version = {reinterpret_cast<const uint8_t *>(model_version.data()), model_version.size()};
        options.key_prefix = span_of(key_prefix);
        options.answers = static_cast<uint32_t>(answers);
        options.answer_bytes = answer_bytes;
        options.ttl_seconds = ttl_seconds;
        options.tombstone_seconds = tombstone_seconds;
        table_ = tg_table_new(&options);
        if (!table_) throw std::bad_alloc();
    }
    ~Table() { tg_table_free(table_); }
    Table(const Table &) = delete;
    Table &operator=(const Table &) = delete;

    std::vector<size_t> missing(nb::handle sessions) {
        const Ids ids(sessions);
        return missing_of(ids.size(), ids.data());
    }
    std::vector<size_t> missing_lines(const Events &events) {
        return missing_of(events.size, keys_of(events).data());
    }

    nb::list load(nb::handle sessions, nb::handle records) {
        const Ids ids(sessions);
        const nb::object holder = nb::steal(PySequence_Tuple(records.ptr()));
        if (!holder.is_valid()) throw nb::python_error();
        if (nb::len(holder) != ids.size()) refuse("records: not one for each session");
        std::vector<tg_span> spans(ids.size());
        std::vector<uint8_t> codes(ids.size());
        for (size_t i = 0; i < ids.size(); i++) {
            PyObject *record = PyTuple_GetItem(holder.ptr(), static_cast<Py_ssize_t>(i));
            if (record == Py_None) continue;
            if (!PyBytes_Check(record))
                refuse("records: position " + std::to_string(i) + ": neither bytes nor None");
            spans[i] = {reinterpret_cast<const uint8_t *>(PyBytes_AsString(record)),
                        static_cast<size_t>(PyBytes_Size(record))};
        }
        {
            const Use table(*this);
            nb::gil_scoped_release release;
            if (tg_table_load(*table, ids.size(), ids.data(), spans.data(), codes.data()))
                throw std::bad_alloc();
        }
        nb::list found;
        for (uint8_t code : codes) found.append(static_cast<int>(code));
        return found;
    }

    Processed process(nb::handle sessions, nb::handle seqs_, nb::handle times_, double received,
                      nb::handle flags_, nb::handle requests_, nb::dict columns, Group *group, uint64_t ticket,
                      nb::handle failed) {
        const Ids ids(sessions);
        const size_t n = ids.size();
        if (n >= UINT32_MAX) refuse("sessions: too many");
        if (!std::isfinite(received)) refuse("received: not finite");
        const Optional<int64_t> seqs(seqs_, "seqs", n), requests(requests_, "requests", n);
        const Optional<double> times(times_, "times", n);
        const Optional<uint8_t> flags(flags_, "flags", n);
        for (size_t i = 0; i < n && seqs.data(); i++)
            if (seqs.data()[i] < 0 || seqs.data()[i] == INT64_MAX) refuse("seqs: not in 0 to 2^63 - 2");
        std::vector<int64_t> failed_requests;
        const Keys failed_keys = read_failed(failed, failed_requests);
        const Values values(n, encoder_.schema()->n_fields);
        encoder_.gather(columns, n, values.raw.get(), values.texts.get());

        tg_batch batch{};
        batch.n = n;
        batch.keys = ids.data();
        batch.seqs = seqs.data();
        batch.times = times.data();
        batch.received = received;
        batch.flags = flags.data();
        batch.requests = requests.data();
        batch.n_failed = failed_keys.size();
        batch.failed = failed_keys.data();
        batch.failed_requests = failed_requests.data();
        batch.group = group ? &group->group : nullptr;
        batch.ticket = ticket;
        return run(batch, values);
    }

    Processed process_lines(const Events &events, double received, Group *group, uint64_t ticket,
                            nb::handle failed) {
        const size_t n = events.size;
        if (n >= UINT32_MAX) refuse("events: too many");
        if (!std::isfinite(received)) refuse("received: not finite");
        const std::vector<size_t> places = encoder_.places_in(events.fields->all);
        const std::vector<tg_key> keys = keys_of(events);
        std::vector<int64_t> requests(events.apart ? n : 0), failed_requests;
        std::iota(requests.begin(), requests.end(), 0);
        const Keys failed_keys = read_failed(failed, failed_requests);
        const Values values(n, encoder_.schema()->n_fields);
        const Lines &lines = events.lines;

        tg_batch batch{};
        batch.n = n;
        batch.keys = keys.data();
        batch.seqs = lines.seqs.data();
        batch.times = lines.timed ? lines.times.data() : nullptr;
        batch.received = received;
        batch.flags = lines.flagged ? lines.flags.data() : nullptr;
        batch.requests = events.apart ? requests.data() : nullptr;
        batch.n_failed = failed_keys.size();
        batch.failed = failed_keys.data();
        batch.failed_requests = failed_requests.data();
        batch.group = group ? &group->group : nullptr;
        batch.ticket = ticket;
        return run(batch, values, [&] {
            encoder_.gather_lines(lines, places, n, values.raw.get(), values.texts.get());
        });
    }

    nb::object head(const nb::str &session, double now) {
        const Keys key = read_keys(nb::make_tuple(session));
        const Use table(*this);
        const int64_t slot = find(*table, key);
        if (slot < 0) return nb::none();
        const tg_view view = tg_table_view(*table, slot, now);
        static const char *const names[] = {"", "live", "ended", "deleted", "expired", "damaged"};
        if (view.status == TG_UNKNOWN) return nb::none();
        return nb::make_tuple(names[view.status], view.seq, view.time, view.created, view.updated,
                              text_of(view.version), view.foreign);
    }

    bool remove(const nb::str &session, double now, Group *group, uint64_t ticket) {
        const Keys key = read_keys(nb::make_tuple(session));
        if (!std::isfinite(now)) refuse("now: not finite");
        const Use table(*this);
        check_ticket(*table, ticket);
        const int64_t slot = find(*table, key);
        if (slot < 0) return false;
        const int done = tg_table_delete(*table, slot, now, group ? &group->group : nullptr, ticket);
        if (done < 0) throw std::bad_alloc();
        return done;
    }

    nb::list kept(const nb::str &session) {
        const Keys key = read_keys(nb::make_tuple(session));
        const Use table(*this);
        const tg_view view = tg_table_view(*table, known(*table, session, key), 0);
        nb::list found;
        tg_kept all{const_cast<uint8_t *>(view.answers.data), static_cast<uint32_t>(view.answers.size), 0};
        for (size_t i = 0; i < tg_kept_count(&all); i++) {
            const tg_kept_answer one = tg_kept_at(&all, i);
            found.append(nb::make_tuple(one.seq, one.hash, one.time, bytes_of(one.answer), one.reset,
                                        text_of(one.version)));
        }
        return found;
    }

    nb::tuple states(const nb::str &session) {
        const Keys key = read_keys(nb::make_tuple(session));
        const Use table(*this);
        const tg_view view = tg_table_view(*table, known(*table, session, key), 0);
        if (!view.hidden) raise_key_error(session);
        return nb::make_tuple(copy(view.encoder, encoder_.schema()->state_size),
                              copy(view.hidden, model_.state_size()));
    }

    size_t evict(size_t n, uint64_t durable) {
        const Use table(*this);
        return tg_table_evict(*table, n, durable);
    }
    size_t rollback(uint64_t durable) {
        const Use table(*this);
        nb::gil_scoped_release release;
        return tg_table_rollback(*table, durable);
    }
    bool contains(const nb::str &session) {
        const Keys key = read_keys(nb::make_tuple(session));
        return find(*Use(*this), key) >= 0;
    }
    size_t size() { return tg_table_count(*Use(*this)); }
    size_t live() { return tg_table_live(*Use(*this)); }
    size_t bytes() { return tg_table_bytes(*Use(*this)); }

private:
    // One at a time, as Arena::Use.
    class Use {
    public:
        explicit Use(Table &table) : table_(table) {
            if (table.mutex_.try_lock()) return;
            nb::gil_scoped_release release;
            table.mutex_.lock();
        }
        ~Use() { table_.mutex_.unlock(); }
        Use(const Use &) = delete;
        Use &operator=(const Use &) = delete;
        tg_table *operator*() const { return table_.table_; }

    private:
        Table &table_;
    };

    // What the schema says of events: n x fields, as tg_batch has it.
    struct Values {
        Values(size_t n, size_t fields) : raw(new double[n * fields + 1]), texts(new uint64_t[n * fields + 1]) {}
        const std::unique_ptr<double[]> raw;
        const std::unique_ptr<uint64_t[]> texts;
    };

    static std::vector<tg_key> keys_of(const Events &events) {
        std::vector<tg_key> keys(events.size);
        for (size_t i = 0; i < events.size; i++) {
            const std::string_view session = events.session(i);
            keys[i] = {session.data(), session.size()};
        }
        return keys;
    }

    // The place of the first event of each session that is not there.
    std::vector<size_t> missing_of(size_t n, const tg_key *keys) {
        std::vector<int64_t> slots(n);
        tg_table_find(*Use(*this), n, keys, slots.data());
        std::vector<size_t> found;
        std::unordered_set<std::string_view> seen;
        for (size_t i = 0; i < n; i++)
            if (slots[i] < 0 && seen.insert({keys[i].data, keys[i].size}).second) found.push_back(i);
        return found;
    }

    Processed run(tg_batch &batch, const Values &values, const std::function<void()> &gather = {}) {
        const auto results = std::make_shared<Results>(batch.n, model_.answer_size());
        batch.raw = values.raw.get();
        batch.texts = values.texts.get();
        batch.codes = results->codes;
        batch.numbers = results->numbers;
        batch.expected = results->expected;
        batch.effective = results->times;
        batch.marks = results->marks;
        batch.outputs = results->outputs;
        batch.faults = results->faults;
        Processed processed;
        {
            const Use table(*this);
            check_ticket(*table, batch.ticket);
            Model::Work work(model_);
            batch.threads = work.threads();
            int result;
            {
                std::optional<nb::gil_scoped_release> release;
                if (!is_quick(batch.n)) release.emplace();
                if (gather) gather();
                result = tg_table_process(*table, &batch);
            }
            if (result) throw std::bad_alloc();
            give_rare(*table, processed);
        }
        processed.changed = batch.changed;
        processed.results = results;
        return processed;
    }

    // Few events of a small model are done before another thread could begin with what it wants the interpreter's
    // lock for; to get it back from that one may take much longer. Some 100 us at most: a product takes as many
    // steps as there are pairs of states.
    bool is_quick(size_t n) const {
        const size_t size = model_.state_size();
        return n <= tidegate::FEW && n * size * size <= tidegate::FEW * 64 * 64;
    }

    static void check_ticket(const tg_table *table, uint64_t ticket) {
        if (ticket < tg_table_ticket(table)) refuse("ticket: a session changed with a later one");
    }

    static Keys read_failed(nb::handle failed, std::vector<int64_t> &requests) {
        nb::list sessions;
        for (nb::handle pair : nb::iter(failed)) {
            const auto [request, session] = nb::cast<std::pair<int64_t, nb::str>>(pair);
            requests.push_back(request);
            sessions.append(session);
        }
        return read_keys(sessions);
    }

    void give_rare(const tg_table *table, Processed &processed) const {
        const tg_met_states met = tg_table_met(table);
        const size_t size = encoder_.schema()->state_size;
        for (size_t i = 0; i < met.n; i++)
            processed.encoder_before[nb::int_(met.events[i])] = copy(met.states + i * size, size);
        const tg_versions versions = tg_table_versions(table);
        for (size_t i = 0, start = 0; i < versions.n; start = versions.ends[i++])
            processed.versions[nb::int_(versions.events[i])] =
                nb::str(versions.text + start, versions.ends[i] - start);
    }

    static int64_t find(const tg_table *table, const Keys &key) {
        int64_t slot;
        tg_table_find(table, 1, key.data(), &slot);
        return slot;
    }

    static int64_t known(const tg_table *table, const nb::str &session, const Keys &key) {
        const int64_t slot = find(table, key);
        if (slot < 0) raise_key_error(session);
        return slot;
    }

    [[noreturn]] static void raise_key_error(const nb::str &session) {
        PyErr_SetObject(PyExc_KeyError, session.ptr());
        throw nb::python_error();
    }

    template <typename T> static Array<T> copy(const T *values, size_t n) {
        T *data = new T[n + 1];
        nb::capsule owner(data, [](void *memory) noexcept { delete[] static_cast<T *>(memory); });
        if (n) std::memcpy(data, values, n * sizeof(T));
        return Array<T>(data, {n}, owner);
    }

    nb::object model_object_, encoder_object_; // these keep them alive
    const Model &model_;
    const Encoder &encoder_;
    tg_table *table_;
    std::mutex mutex_;
};

} // namespace

void bind_table(nb::module_ &m) {
    m.attr("RECORD_CODES") = nb::make_tuple(
        "", "record_truncated", "record_magic", "record_version", "record_damaged", "record_trailing",
        "record_checksum", "other_model", "other_size");
    nb::class_<Table>(m, "Table", "The sessions of a server, by id. Threads wait for each other.")
        .def(nb::init<nb::object, nb::object, const nb::bytes &, const std::string &, const nb::bytes &, size_t,
                      size_t, double, double>(),
             "model"_a, "encoder"_a, "fingerprint"_a, "model_version"_a, "key_prefix"_a, nb::kw_only(),
             "answers"_a = 8, "answer_bytes"_a = 16384, "ttl_seconds"_a = INFINITY,
             "tombstone_seconds"_a = 86400.0)
        .def("missing", &Table::missing_lines, "events"_a)
        .def("missing", &Table::missing, "sessions"_a,
             "The first event of each session that the table does not hold, in order.")
        .def("load", &Table::load, "sessions"_a, "records"_a,
             "Take in what a store has; codes as in RECORD_CODES. Sessions that are held are left alone.")
        .def("process", &Table::process, "sessions"_a, "seqs"_a.none(), "times"_a.none(), "received"_a,
             "flags"_a.none(), "requests"_a.none(), "columns"_a, "group"_a.none(), "ticket"_a,
             "failed"_a = nb::tuple(),
             "A batch of events, in order within each session. MemoryError: roll back to an earlier ticket.")
        .def("process_lines", &Table::process_lines, "events"_a, "received"_a, "group"_a.none(), "ticket"_a,
             "failed"_a = nb::tuple(), "As `process`, of events that a LinePlan read.")
        .def("head", &Table::head, "session"_a, "now"_a,
             "(status, seq, time, created, updated, model_version, foreign); None: unknown.")
        .def("delete", &Table::remove, "session"_a, "now"_a, "group"_a.none(), "ticket"_a,
             "Leave a tombstone. False: it is unknown.")
        .def("kept", &Table::kept, "session"_a, "(seq, hash, time, bytes, reset, version) of its last answers.")
        .def("states", &Table::states, "session"_a, "Copies of a live session's encoder and hidden state.")
        .def("evict", &Table::evict, "n"_a, "durable_ticket"_a,
             "Drop up to n cold sessions that did not change in a later group; how many. Worth a call for\n"
             "every durable group, also with n = 0.")
        .def("rollback", &Table::rollback, "durable_ticket"_a,
             "Drop all sessions that changed in a later group; how many.")
        .def("contains", &Table::contains, "session"_a)
        .def("__contains__", &Table::contains, "session"_a)
        .def("__len__", &Table::size)
        .def_prop_ro("live", &Table::live, "Sessions that have not ended, whatever their age.")
        .def_prop_ro("nbytes", &Table::bytes, "Bytes of memory in use.");
}
