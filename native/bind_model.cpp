// tidegate._core.Model: recurrent steps. Every size and index is validated here, once; the C below
// trusts its caller.
#include "bind_model.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

extern "C" {
#include "kernels.h"
}

namespace nb = nanobind;
using namespace nb::literals;

namespace tidegate {

namespace {

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Whole = nb::ndarray<const int32_t, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using MutableVector = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string &what) { throw nb::value_error(what.c_str()); }

// Sizes are multiplied below: none may be so large that a product of a few of them wraps around.
constexpr size_t kLargest = size_t{1} << 24;

size_t units(size_t n, const char *name) {
    if (n == 0 || n > kLargest) refuse(std::string(name) + ": not in 1 to 16,777,216");
    return n;
}

// Bytes: arrays of callers need not be aligned.
void check_finite(const void *floats, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++) {
        float x;
        std::memcpy(&x, static_cast<const uint8_t *>(floats) + i * sizeof x, sizeof x);
        if (!std::isfinite(x)) refuse(std::string(name) + ": holds a value that is not finite");
    }
}

// A member as it is, without conversion. ValueError: there is none; TypeError: it is something else.
template <typename T> T member(const nb::dict &parts, const char *name) {
    if (!parts.contains(name)) refuse(std::string(name) + ": is missing");
    T value;
    if (!nb::try_cast<T>(parts[name], value, false))
        throw nb::type_error((std::string(name) + ": of a wrong type, layout or number of dimensions").c_str());
    return value;
}

} // namespace

tg_cell cell_named(const std::string &name) {
    static const char *const names[] = {"gru", "gru_before", "lstm", "rnn_tanh", "rnn_relu"};
    static const tg_cell cells[] = {TG_GRU, TG_GRU_BEFORE, TG_LSTM, TG_RNN_TANH, TG_RNN_RELU};
    for (size_t i = 0; i < 5; i++)
        if (name == names[i]) return cells[i];
    refuse("cell: '" + name + "' is not one of gru, gru_before, lstm, rnn_tanh, rnn_relu");
}


tg_precision precision_named(const std::string &name) {
    if (name == "fp32") return TG_F32;
    if (name == "bf16") return TG_BF16;
    if (name == "int8") return TG_INT8;
    refuse("precision: '" + name + "' is not one of fp32, bf16, int8");
}

const Numpy &numpy() {
    static const Numpy types = [] {
        const nb::module_ module = nb::module_::import_("numpy");
        const auto dtype = [&](const char *name) { return module.attr("dtype")(name).release().ptr(); };
        return Numpy{module.attr("ndarray").ptr(), dtype("float32"), dtype("float64"), dtype("int32"),
                     dtype("int64"), dtype("uint8")};
    }();
    return types;
}

Memory::Memory(size_t bytes) : bytes_(bytes) {
    const size_t rounded = (bytes + TG_ALIGNMENT - 1) / TG_ALIGNMENT * TG_ALIGNMENT;
    data_.reset(std::aligned_alloc(TG_ALIGNMENT, rounded ? rounded : TG_ALIGNMENT));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, rounded);
}

Model::Model(const std::string &precision, size_t row_size, std::vector<size_t> numbers,
             bool fast_activations, size_t threads)
    : numbers_(std::move(numbers)), threads_(threads) {
    if (threads == 0 || threads > 256) refuse("threads: not in 1 to 256");
    model_.precision = precision_named(precision);
    model_.fast_activations = fast_activations;
    model_.row_size = units(row_size, "row_size");
    model_.numbers_first = true;
    for (size_t i = 0; i < numbers_.size(); i++) {
        if (numbers_[i] >= row_size) refuse("numbers: a column is outside the row");
        model_.numbers_first = model_.numbers_first && numbers_[i] == i;
    }
    if (numbers_.size() > row_size) refuse("numbers: more than there are columns");
    if (!tg_active()) tg_isas();
}

Model::~Model() { tg_pool_free(pool_); }

template <typename T> const T *Model::keep(const T *data, size_t count, size_t behind) {
    Memory &memory = kept_.emplace_back(count * sizeof(T) + behind);
    if (count) std::memcpy(memory.data(), data, count * sizeof(T)); // an empty array may have no address
    return static_cast<const T *>(memory.data());
}

const float *Model::keep_floats(const Floats &array, size_t count, const char *name) {
    if (array.size() != count)
        refuse(std::string(name) + ": " + std::to_string(array.size()) + " numbers instead of " +
               std::to_string(count));
    check_finite(array.data(), count, name);
    return keep(array.data(), count);
}

tg_product Model::product(tg_precision precision, const nb::dict &parts, size_t inputs, size_t hidden_size,
                          size_t gates) {
    tg_product made{};
    made.inputs = inputs;
    made.gates = gates;
    made.panels = tg_padded(hidden_size) / TG_UNITS;
    const size_t per_step = precision == TG_F32 ? 1 : precision == TG_BF16 ? 2 : 4;
    made.steps = (inputs + per_step - 1) / per_step;
    const size_t columns = made.panels * gates * TG_UNITS;
    const auto weights = member<Bytes>(parts, "weights");
    if (weights.shape(0) != made.panels || weights.shape(1) != made.steps || weights.shape(2) != gates ||
        weights.shape(3) != 64)
        refuse("weights: shape is not (panels, steps, gates, 64)");
    if (precision == TG_F32) {
        check_finite(weights.data(), weights.size() / sizeof(float), "weights");
    } else if (precision == TG_BF16) {
        for (size_t i = 1; i < weights.size(); i += 2)
            if ((weights.data()[i] & 0x7f) == 0x7f && weights.data()[i - 1] & 0x80)
                refuse("weights: holds a value that is not finite");
    } else if (weights.size() && std::memchr(weights.data(), 0x80, weights.size())) {
        // What a sum of products can be at most is reckoned with 127.
        refuse("weights: int8 holds a -128");
    }
    made.weights = keep(weights.data(), weights.size(), TG_BEHIND);
    made.bias = keep_floats(member<Floats>(parts, "bias"), columns, "bias");
    if (precision == TG_INT8) {
        made.scale = keep_floats(member<Floats>(parts, "scale"), columns, "scale");
        const auto start = member<Whole>(parts, "start");
        if (start.size() != columns) refuse("start: length is not panels * gates * 16");
        made.start = keep(start.data(), columns);
        made.bounded = member<bool>(parts, "bounded");
        const auto fits = INT64_C(0x7fffffff) / (INT64_C(127) * static_cast<int64_t>(inputs ? inputs : 1));
        made.largest = static_cast<int32_t>(fits < 16383 ? fits : 16383);
        if (made.largest < 127) refuse("inputs: too many for int8");
    }
    return made;
}

void Model::add_layer(const std::string &cell, size_t hidden_size, bool residual, nb::dict input,
                      nb::dict recurrent, std::optional<nb::dict> candidate, std::optional<nb::dict> norms,
                      float zoneout, float zoneout_cell, std::optional<Vector> peephole,
                      std::optional<Vector> initial) {
    refuse_when_ready();
    tg_layer layer{};
    layer.cell = cell_named(cell);
    layer.hidden_size = units(hidden_size, "hidden_size");
    layer.panels = tg_padded(hidden_size) / TG_UNITS;
    layer.gates = tg_gates(layer.cell);
    layer.residual = residual;
    const size_t below = layers_.empty() ? numbers_.size() : layers_.back().hidden_size;
    if (residual && below != hidden_size) refuse("residual: the layer below has another size");
    const bool before = layer.cell == TG_GRU_BEFORE;
    const tg_precision precision = model_.precision;
    layer.input = product(precision, input, below, hidden_size, layer.gates);
    layer.recurrent = product(precision, recurrent, hidden_size, hidden_size, before ? 2 : layer.gates);
    if (before) {
        if (!candidate) refuse("candidate: a gru_before needs it");
        layer.candidate = product(precision, *candidate, hidden_size, hidden_size, 1);
    }
    if (norms) {
        const auto floats = [&](const char *name, size_t gates) {
            return keep_floats(member<Floats>(*norms, name), layer.panels * gates * TG_UNITS, name);
        };
        layer.norms.gain_input = floats("gain_input", layer.gates);
        layer.norms.shift_input = floats("shift_input", layer.gates);
        layer.norms.gain_recurrent = floats("gain_recurrent", layer.recurrent.gates);
        layer.norms.shift_recurrent = floats("shift_recurrent", layer.recurrent.gates);
        if (before) {
            layer.norms.gain_candidate = floats("gain_candidate", 1);
            layer.norms.shift_candidate = floats("shift_candidate", 1);
        }
        if (layer.cell == TG_LSTM) {
            layer.norms.gain_cell = floats("gain_cell", 1);
            layer.norms.bias_cell = floats("bias_cell", 1);
        }
    }
    if (!(zoneout >= 0 && zoneout < 1)) refuse("zoneout: not in 0 to 1");
    if (!(zoneout_cell >= 0 && zoneout_cell < 1)) refuse("zoneout_cell: not in 0 to 1");
    if (layer.cell != TG_LSTM && (zoneout_cell > 0 || peephole))
        refuse("zoneout_cell, peephole: only an LSTM has c");
    layer.zoneout = zoneout;
    layer.zoneout_cell = zoneout_cell;
    if (peephole) layer.peephole = keep_floats(Floats(*peephole), layer.panels * 3 * TG_UNITS, "peephole");
    const size_t state_size = tg_layer_state_size(&layer);
    if (initial) {
        if (initial->size() != state_size) refuse("initial: length is not the layer's state size");
        check_finite(initial->data(), state_size, "initial");
    }
    const size_t begin = initial_.size();
    initial_.resize(begin + state_size);
    if (initial) std::memcpy(&initial_[begin], initial->data(), state_size * sizeof(float));
    begins_ = begins_ || initial;
    layers_.push_back(layer);
}

void Model::add_category(size_t column, Matrix table) {
    refuse_when_ready();
    if (layers_.size() != 1) refuse("add_category: comes after the first layer and before the second");
    const size_t columns = layers_[0].panels * layers_[0].gates * TG_UNITS;
    if (column >= model_.row_size) refuse("column: outside the row");
    if (table.shape(0) == 0 || table.shape(0) > kLargest || table.shape(1) != columns)
        refuse("table: shape is not (size, panels * gates * 16)");
    check_finite(table.data(), table.size(), "table");
    categories_.push_back({column, table.shape(0), keep(table.data(), table.size())});
}

void Model::set_head(const std::string &kind, nb::dict parts, std::optional<Matrix> skip, size_t top,
                     const std::vector<Part> &surprise) {
    refuse_when_ready();
    if (layers_.empty()) refuse("set_head: comes after the layers");
    if (kind == "linear") model_.head = TG_LINEAR;
    else if (kind == "sigmoid") model_.head = TG_SIGMOID;
    else if (kind == "softmax") model_.head = TG_SOFTMAX;
    else refuse("head: '" + kind + "' is not one of linear, sigmoid, softmax");
    const size_t hidden_size = layers_.back().hidden_size;
    model_.head_weight = model_.head_bias = nullptr; // of an earlier call, which was refused
    model_.output_size = units(member<size_t>(parts, "outputs"), "outputs");
    if (model_.output_size <= TG_FEW_OUTPUTS) {
        const auto weight = member<Floats>(parts, "weight"), bias = member<Floats>(parts, "bias");
        model_.head_stride = tg_padded(hidden_size);
        model_.head_weight = keep_floats(weight, model_.output_size * model_.head_stride, "head");
        model_.head_bias = keep_floats(bias, model_.output_size, "head bias");
    } else {
        model_.catalogue = product(TG_F32, parts, hidden_size, model_.output_size, 1); // in any model
    }
    set_readout(skip, top, surprise);
    model_.n_numbers = numbers_.size();
    model_.numbers = numbers_.data();
    model_.n_categories = categories_.size();
    model_.categories = categories_.data();
    model_.n_layers = layers_.size();
    model_.layers = layers_.data();
    model_.state_size = initial_.size();
    if (begins_) model_.initial = initial_.data();
    scratch_ = Memory(tg_scratch_size(&model_) * threads_);
    if (threads_ > 1 && !(pool_ = tg_pool_new(threads_))) throw std::bad_alloc();
    ready_ = true;
}

void Model::set_readout(std::optional<Matrix> skip, size_t top, const std::vector<Part> &surprise) {
    const size_t outputs = model_.output_size;
    model_.skip = nullptr; // of an earlier call, as above
    model_.top = top;
    parts_.clear();
    if (top > outputs) refuse("top: more than there are outputs");
    if ((top || !surprise.empty()) && model_.head != TG_LINEAR) refuse("head: only linear outputs are read out");
    if (!surprise.empty() && (top || skip || layers_.back().residual))
        refuse("surprise: the head reads the last state alone, and all outputs are its");
    for (const auto &[categorical, column, output, size, missing] : surprise) {
        if (column >= model_.row_size || (missing && *missing >= model_.row_size))
            refuse("surprise: a column is outside the row");
        if (size == 0 || size > outputs || output > outputs - size || (!categorical && size != 2))
            refuse("surprise: a part's outputs are not the head's");
        parts_.push_back({categorical, column, output, size, missing ? static_cast<ptrdiff_t>(*missing) : -1});
    }
    if (skip) {
        if (skip->shape(0) != numbers_.size() || skip->shape(1) != outputs)
            refuse("skip: shape is not (numbers, outputs)");
        check_finite(skip->data(), skip->size(), "skip");
        model_.skip = keep(skip->data(), skip->size());
    }
    model_.parts = parts_.data();
    model_.n_parts = parts_.size();
    model_.answer_size = top ? 2 * top : parts_.empty() ? outputs : 1 + parts_.size();
}

void Model::refuse_when_ready() const {
    if (ready_) refuse("the model is complete: its head is set");
}

void Model::check_rows(const float *rows, size_t n) const {
    const ptrdiff_t bad = tg_check_categories(&model_, n, rows);
    if (bad >= 0) refuse("rows: event " + std::to_string(bad) + " has a category index outside its table");
}

// A call's working memory: the model's own unless another thread is using it.
Model::Work::Work(const Model &model) : model_(model) {
    mine_ = !model.busy_.test_and_set(std::memory_order_acquire);
    if (!mine_) other_ = Memory(tg_scratch_size(&model.model_));
}
Model::Work::~Work() {
    if (mine_) model_.busy_.clear(std::memory_order_release);
}
tg_threads Model::Work::threads() const {
    if (mine_) return {model_.scratch_.data(), model_.pool_};
    return {other_.data(), nullptr}; // the model's threads are busy with another call
}

std::vector<float *> Model::states_of(const ArrayOf<float, 2> &rows, const ArrayOf<int64_t, 1> &slots,
                                      const ArrayOf<float, 2, true> &states) const {
    if (!ready_) refuse("step: the model has no head yet");
    const size_t n = rows.shape(0);
    if (rows.shape(1) != model_.row_size) refuse("rows: width is not the model's row size");
    if (slots.shape(0) != n) refuse("slots: length is not the number of rows");
    if (states.shape(1) != model_.state_size) refuse("states: width is not the model's state size");
    const auto capacity = static_cast<int64_t>(states.shape(0));
    std::vector<float *> at(n);
    for (size_t i = 0; i < n; i++) {
        const int64_t slot = slots.data()[i];
        if (slot < 0 || slot >= capacity) refuse("slots: outside the states");
        at[i] = states.data() + static_cast<size_t>(slot) * model_.state_size;
    }
    check_rows(rows.data(), n);
    return at;
}

void Model::step(nb::handle rows_, nb::handle slots_, nb::handle states_, nb::handle outputs_) const {
    const ArrayOf<float, 2> rows(rows_, "rows");
    const ArrayOf<int64_t, 1> slots(slots_, "slots");
    const ArrayOf<float, 2, true> states(states_, "states"), outputs(outputs_, "outputs");
    const std::vector<float *> at = states_of(rows, slots, states);
    if (outputs.shape(0) != at.size() || outputs.shape(1) != model_.answer_size)
        refuse("outputs: shape is not (rows, answers)");
    refuse_overlap(rows, states);
    refuse_overlap(rows, outputs);
    Work work(*this);
    nb::gil_scoped_release release;
    tg_step(&model_, at.size(), rows.data(), at.data(), outputs.data(), work.threads());
}

void Model::step_top(nb::handle rows_, nb::handle slots_, nb::handle states_, nb::handle scores_,
                     nb::handle indices_) const {
    const ArrayOf<float, 2> rows(rows_, "rows");
    const ArrayOf<int64_t, 1> slots(slots_, "slots");
    const ArrayOf<float, 2, true> states(states_, "states"), scores(scores_, "scores");
    const ArrayOf<int64_t, 2, true> indices(indices_, "indices");
    const std::vector<float *> at = states_of(rows, slots, states);
    const size_t n = at.size(), k = scores.shape(1);
    check_top(n, k, scores.shape(0), indices.shape(0), indices.shape(1));
    refuse_overlap(rows, states);
    refuse_overlap(rows, scores);
    refuse_overlap(rows, indices);
    Work work(*this);
    nb::gil_scoped_release release;
    tg_step_top(&model_, n, rows.data(), at.data(), k, scores.data(), indices.data(), work.threads());
}

void Model::check_top(size_t n, size_t k, size_t scores, size_t indices, size_t width) const {
    if (model_.head_weight) refuse("scores: a model of a few outputs has no large head");
    if (model_.top || model_.n_parts) refuse("scores: the model answers with something else");
    if (scores != n || k == 0 || k > model_.output_size) refuse("scores: shape is not (events, k)");
    if (indices != n || width != k) refuse("indices: shape is not that of the scores");
}

void Model::run(nb::handle rows_, nb::handle state_, nb::handle outputs_) const {
    const ArrayOf<float, 2> rows(rows_, "rows");
    const ArrayOf<float, 1, true> state(state_, "state");
    const ArrayOf<float, 2, true> outputs(outputs_, "outputs");
    if (!ready_) refuse("run: the model has no head yet");
    const size_t n = rows.shape(0);
    if (rows.shape(1) != model_.row_size) refuse("rows: width is not the model's row size");
    if (state.shape(0) != model_.state_size) refuse("state: length is not the model's state size");
    if (outputs.shape(0) != n || outputs.shape(1) != model_.answer_size)
        refuse("outputs: shape is not (rows, answers)");
    refuse_overlap(rows, state);
    refuse_overlap(rows, outputs);
    check_rows(rows.data(), n);
    Work work(*this);
    nb::gil_scoped_release release;
    tg_run(&model_, n, rows.data(), state.data(), outputs.data(), work.memory());
}

namespace {

void activate(bool fast, Vector x, MutableVector sigmoid, MutableVector tanh) {
    if (sigmoid.size() != x.size() || tanh.size() != x.size()) refuse("sigmoid, tanh: not as long as x");
    tg_isas();
    tg_active()->activate(fast, x.size(), x.data(), sigmoid.data(), tanh.data());
}

std::vector<std::string> isas() {
    std::vector<std::string> names;
    for (const char *const *name = tg_isas(); *name; name++) names.emplace_back(*name);
    return names;
}

} // namespace
} // namespace tidegate

static nb::ndarray<nb::numpy, float, nb::ndim<1>> initial(const tidegate::Model &model) {
    const size_t n = model.initial().size();
    float *copy = new float[n];
    const nb::capsule owner(copy, [](void *memory) noexcept { delete[] static_cast<float *>(memory); });
    std::copy_n(model.initial().data(), n, copy);
    return {copy, {n}, owner};
}

void bind_model(nb::module_ &m) {
    using tidegate::Model;
    tidegate::numpy(); // now, with the module's own lock: later calls only read it
    nb::class_<Model>(m, "Model", "A stack of recurrent layers with a linear head.")
        .def(nb::init<const std::string &, size_t, std::vector<size_t>, bool, size_t>(), "precision"_a,
             "row_size"_a, "numbers"_a, "fast_activations"_a = false, "threads"_a = 1)
        .def("add_layer", &Model::add_layer, "cell"_a, "hidden_size"_a, "residual"_a, "input"_a, "recurrent"_a,
             "candidate"_a = nb::none(), "norms"_a = nb::none(), "zoneout"_a = 0.0f, "zoneout_cell"_a = 0.0f,
             "peephole"_a = nb::none(), "initial"_a = nb::none(),
             "Products in panels; called from the input up.")
        .def("add_category", &Model::add_category, "column"_a, "table"_a,
             "What each index of a category column adds to the first layer's gates.")
        .def("set_head", &Model::set_head, "kind"_a, "parts"_a, "skip"_a = nb::none(), "top"_a = 0,
             "surprise"_a = std::vector<Model::Part>(),
             "The last part: rows of weights for a few outputs, a product in panels for many; what the row's\n"
             "numbers add to them; and what an event is answered with, if not with all of them.")
        .def("step", &Model::step, "rows"_a, "slots"_a, "states"_a, "outputs"_a,
             "Step events in order; the states at their slots and the outputs are written.")
        .def("step_top", &Model::step_top, "rows"_a, "slots"_a, "states"_a, "scores"_a, "indices"_a,
             "The same for a large head: the k largest linear outputs of each event, and which they are.")
        .def("run", &Model::run, "rows"_a, "state"_a, "outputs"_a,
             "Step events of one session in order; its state and the outputs are written.")
        .def_prop_ro("initial", &initial, nb::rv_policy::automatic,
                     "A copy of the state with which a session begins.")
        .def_prop_ro("state_size", &Model::state_size)
        .def_prop_ro("output_size", &Model::output_size)
        .def_prop_ro("answer_size", &Model::answer_size, "Numbers that an event is answered with.");
    m.def("isas", &tidegate::isas, "Instruction sets that this processor and build have, widest last.");
    m.def(
        "isa", [] { return tg_isas(), tg_active()->name; }, "The instruction set in use.");
    m.def(
        "use_isa", [](const std::string &name) { return tg_use_isa(name.c_str()) == 0; }, "name"_a,
        "Use a set from now on; False if there is no such set here.");
    m.def("activate", &tidegate::activate, "fast"_a, "x"_a, "sigmoid"_a.noconvert(), "tanh"_a.noconvert(),
          "The kernels' logistic function and tanh, for tests of their error.");
}
