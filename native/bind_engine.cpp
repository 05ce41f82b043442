// The engine's steps: sessions by id, their memory in an arena, the schema, the kernels. Arguments are
// validated here; while the kernels run, the interpreter's lock is released.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "array.h"
#include "bind_arena.h"
#include "bind_encode.h"
#include "bind_model.h"

extern "C" {
#include "events.h"
}

namespace nb = nanobind;
using namespace nb::literals;
using tidegate::ArrayOf;
using tidegate::Encoder;
using tidegate::Model;
using tidegate::refuse_overlap;

namespace {

using Rows = ArrayOf<float, 2>;
using Outputs = ArrayOf<float, 2, true>;
using Indices = ArrayOf<int64_t, 2, true>;

[[noreturn]] void refuse(const std::string &what) { throw nb::value_error(what.c_str()); }

// The ids of a call, in an order that is theirs: a set has none.
Keys keys_of(nb::handle sessions) {
    if (!PySequence_Check(sessions.ptr())) throw nb::type_error("sessions: not a sequence of str");
    return read_keys(sessions);
}

// What a call works on, kept from call to call by each thread.
struct Desk {
    std::vector<int64_t> slots;
    std::vector<uint8_t> fresh;
    std::vector<float *> states;
    std::vector<float> saved;

    // One huge call leaves nothing huge behind.
    void clear_up() {
        if (saved.capacity() > (size_t{1} << 20)) *this = Desk();
    }
};

Desk &desk() {
    static thread_local Desk mine;
    return mine;
}

// The sessions of a call, in their arena.
class Sessions {
public:
    Sessions(tg_arena *arena, const Keys &keys, Desk &desk) : arena_(arena), desk_(desk), n_(keys.size()) {
        desk.slots.resize(n_);
        desk.fresh.resize(n_);
        desk.states.resize(n_);
        if (tg_arena_take(arena, n_, keys.data(), desk.slots.data(), desk.fresh.data())) throw std::bad_alloc();
        for (size_t i = 0; i < n_; i++) desk.states[i] = tg_arena_hidden(arena, desk.slots[i]);
    }

    // Copies of the hidden states of events first to first + count, to go back to.
    void save(size_t first, size_t count) {
        const size_t size = arena_->hidden_size;
        saved_from_ = first;
        if (desk_.saved.size() < count * size) desk_.saved.resize(count * size);
        for (size_t k = 0; k < count; k++)
            std::memcpy(&desk_.saved[k * size], desk_.states[first + k], size * sizeof(float));
    }
    void restore(size_t i) {
        const size_t size = arena_->hidden_size;
        std::memcpy(desk_.states[i], &desk_.saved[(i - saved_from_) * size], size * sizeof(float));
    }

    // Forgets the sessions that this call began and that no event of it has changed.
    template <typename Failed> void drop_unchanged(Failed failed) {
        std::unordered_set<int64_t> changed;
        for (size_t i = 0; i < n_; i++)
            if (!failed(i)) changed.insert(desk_.slots[i]);
        for (size_t i = 0; i < n_; i++)
            if (desk_.fresh[i] && !changed.count(desk_.slots[i])) tg_arena_drop(arena_, desk_.slots[i]);
    }

    ~Sessions() { desk_.clear_up(); }
    Sessions(const Sessions &) = delete;
    Sessions &operator=(const Sessions &) = delete;

private:
    tg_arena *arena_;
    Desk &desk_;
    size_t saved_from_ = 0;
    size_t n_;
};

void check_states(const Model &model, const Arena &arena) {
    if (!model.ready()) refuse("model: it has no head yet");
    if (arena.hidden_size() != model.state_size()) refuse("arena: its states are not the model's");
}

void check_outputs(const Model &model, size_t n, const Outputs &outputs) {
    if (outputs.shape(0) != n || outputs.shape(1) != model.answer_size())
        refuse("outputs: shape is not (events, answers)");
}

// Steps encoded rows. -1, or the first event whose output or state would not be finite, or -2: a row that is
// not finite or has an index outside its table. Then nothing has changed.
int64_t step(const Model &model, Arena &arena, nb::handle sessions, nb::handle rows_, nb::handle outputs_,
             nb::handle indices_) {
    const Rows rows(rows_, "rows");
    const Outputs outputs(outputs_, "outputs");
    std::optional<Indices> indices;
    if (!indices_.is_none()) indices.emplace(indices_, "indices");
    const Keys keys = keys_of(sessions);
    const size_t n = keys.size();
    if (rows.shape(0) != n || rows.shape(1) != model.model().row_size)
        refuse("rows: shape is not (events, columns)");
    check_states(model, arena);
    if (indices)
        model.check_top(n, outputs.shape(1), outputs.shape(0), indices->shape(0), indices->shape(1));
    else
        check_outputs(model, n, outputs);
    refuse_overlap(rows, outputs);
    if (indices) refuse_overlap(rows, *indices);
    Model::Work work(model);
    const Arena::Use in_use(arena);
    Desk &mine = desk();
    nb::gil_scoped_release release;
    if (!tg_finite(rows.size(), rows.data()) || tg_check_categories(&model.model(), n, rows.data()) >= 0)
        return -2;
    Sessions these(*in_use, keys, mine);
    const size_t width = outputs.shape(1);
    these.save(0, n);
    if (indices)
        tg_step_top(&model.model(), n, rows.data(), mine.states.data(), outputs.shape(1), outputs.data(),
                    indices->data(), work.threads());
    else
        tg_step(&model.model(), n, rows.data(), mine.states.data(), outputs.data(), work.threads());
    for (size_t i = 0; i < n; i++) {
        if (tg_finite(width, outputs.data() + i * width) &&
            tg_finite(model.state_size(), mine.states[i]))
            continue;
        for (size_t k = n; k-- > 0;) these.restore(k); // backwards: a session's first copy is its last word
        these.drop_unchanged([](size_t) { return true; });
        return static_cast<int64_t>(i);
    }
    return -1;
}

// Many rows of one session. -1, -3: an output or the state would not be finite, or -2 as above.
int64_t run(const Model &model, Arena &arena, nb::handle session, nb::handle rows_, nb::handle outputs_) {
    const Rows rows(rows_, "rows");
    const Outputs outputs(outputs_, "outputs");
    const Keys keys = read_keys(nb::make_tuple(session));
    const size_t n = rows.shape(0);
    if (rows.shape(1) != model.model().row_size) refuse("rows: shape is not (steps, columns)");
    check_states(model, arena);
    check_outputs(model, n, outputs);
    refuse_overlap(rows, outputs);
    Model::Work work(model);
    const Arena::Use in_use(arena);
    Desk &mine = desk();
    nb::gil_scoped_release release;
    if (!tg_finite(rows.size(), rows.data()) || tg_check_categories(&model.model(), n, rows.data()) >= 0)
        return -2;
    if (n == 0) return -1;
    Sessions these(*in_use, keys, mine);
    these.save(0, 1);
    tg_run(&model.model(), n, rows.data(), mine.states[0], outputs.data(), work.memory());
    if (tg_finite(outputs.size(), outputs.data()) && tg_finite(model.state_size(), mine.states[0])) return -1;
    these.restore(0);
    these.drop_unchanged([](size_t) { return true; });
    return -3;
}

// Memory for the events of a call.
struct Bench {
    Bench(const tg_model &model, const tg_schema &schema, size_t capacity) {
        if (tg_bench_new(&bench, &model, &schema, capacity)) throw std::bad_alloc();
    }
    ~Bench() { tg_bench_free(&bench); }
    Bench(const Bench &) = delete;
    Bench &operator=(const Bench &) = delete;

    tg_bench bench;
};

// The longest run of events from `first` on, TG_BLOCK at most, of different sessions.
size_t different(const std::vector<int64_t> &slots, size_t first, size_t n) {
    const size_t most = n - first < TG_BLOCK ? n - first : TG_BLOCK;
    for (size_t count = 1; count < most; count++)
        for (size_t k = 0; k < count; k++)
            if (slots[first + k] == slots[first + count]) return count;
    return most;
}

// Raw events through the schema, then the kernels; faults gets (code, field) of each. How many failed. The
// outputs of those are NaN, and what their sessions remember is what it was.
size_t step_events(const Model &model, const Encoder &encoder, Arena &arena, nb::handle sessions,
                   nb::dict columns, nb::handle times_, nb::handle outputs_, nb::handle faults_) {
    const ArrayOf<double, 1> times(times_, "times");
    const Outputs outputs(outputs_, "outputs");
    const ArrayOf<int32_t, 2, true> faults(faults_, "faults");
    const Keys keys = keys_of(sessions);
    const size_t n = keys.size(), width = model.model().row_size, n_outputs = model.answer_size();
    const tg_schema *schema = encoder.schema();
    if (times.shape(0) != n) refuse("times: length is not the number of events");
    if (faults.shape(0) != n || faults.shape(1) != 2) refuse("faults: shape is not (events, 2)");
    if (schema->width != width || schema->state_size != arena.encoder_size())
        refuse("encoder: its rows or states are not the model's and the arena's");
    check_states(model, arena);
    check_outputs(model, n, outputs);
    std::vector<double> raw(n * schema->n_fields);
    encoder.gather(columns, n, raw.data());
    Model::Work work(model);
    const Arena::Use in_use(arena);
    Desk &mine = desk();
    nb::gil_scoped_release release;
    Sessions these(*in_use, keys, mine);
    const Bench bench(model.model(), *schema, TG_BLOCK);
    std::vector<tg_event> events(TG_BLOCK);
    size_t failures = 0;
    for (size_t first = 0, count; first < n; first += count) {
        count = different(mine.slots, first, n);
        for (size_t k = 0; k < count; k++) {
            const size_t event = first + k;
            events[k] = {&raw[event * schema->n_fields], times.data()[event],
                         tg_arena_encoder(*in_use, mine.slots[event]), mine.states[event], false,
                         outputs.data() + event * n_outputs, 0, 0};
        }
        failures += tg_step_events(&bench.bench, count, events.data(), work.threads());
        for (size_t k = 0; k < count; k++) {
            faults.data()[2 * (first + k)] = events[k].fault;
            faults.data()[2 * (first + k) + 1] = events[k].field;
        }
    }
    if (failures) these.drop_unchanged([&](size_t event) { return faults.data()[2 * event] != 0; });
    return failures;
}

} // namespace

void bind_engine(nb::module_ &m) {
    m.attr("ROWS_BAD") = static_cast<int>(TG_ROW_BAD);
    m.attr("OUTPUT_NOT_FINITE") = static_cast<int>(TG_OUTPUT_NOT_FINITE);
    m.def("step", &step, "model"_a, "arena"_a, "sessions"_a, "rows"_a, "outputs"_a,
          "indices"_a = nb::none(),
          "Step encoded rows of sessions. -1; or -2, rows that are not valid, or the first event whose\n"
          "output or state would not be finite: then nothing has changed. With indices, which are\n"
          "(events, k), outputs get the k largest of a large head.");
    m.def("run", &run, "model"_a, "arena"_a, "session"_a, "rows"_a, "outputs"_a,
          "Step many rows of one session. -1; or -2 or -3, as for step.");
    m.def("step_events", &step_events, "model"_a, "encoder"_a, "arena"_a, "sessions"_a, "columns"_a, "times"_a,
          "outputs"_a, "faults"_a,
          "Encode and step raw events; (fault, field) of each goes to faults. How many failed.");
}
