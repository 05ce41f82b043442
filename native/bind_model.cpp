// tidegate._core.Model: recurrent steps. Every size and index is validated here, once; the C below
// trusts its caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

extern "C" {
#include "step.h"
}

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using MutableMatrix = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Slots = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

[[noreturn]] void refuse(const std::string &what) { throw nb::value_error(what.c_str()); }

tg_cell cell_named(const std::string &name) {
    if (name == "gru") return TG_GRU;
    if (name == "lstm") return TG_LSTM;
    if (name == "rnn_tanh") return TG_RNN_TANH;
    if (name == "rnn_relu") return TG_RNN_RELU;
    refuse("cell: '" + name + "' is not one of gru, lstm, rnn_tanh, rnn_relu");
}

// Owns a copy of a model's weights, so that nothing outside can change or free them.
class Model {
public:
    Model(size_t row_size, std::vector<size_t> numbers)
        : row_size_(row_size), numbers_(std::move(numbers)) {
        for (size_t column : numbers_)
            if (column >= row_size_) refuse("numbers: a column is outside the row");
    }

    void add_layer(const std::string &cell, Matrix input, Matrix recurrent, Vector b_input,
                   Vector b_recurrent) {
        refuse_when_ready();
        const tg_cell kind = cell_named(cell);
        const size_t H = recurrent.shape(0), rows = tg_gates(kind) * H;
        const size_t below = layers_.empty() ? numbers_.size() : layers_.back().hidden_size;
        if (H == 0 || recurrent.shape(1) != rows) refuse("recurrent: shape is not (hidden, gates * hidden)");
        if (input.shape(0) != below || input.shape(1) != rows)
            refuse("input: shape is not (inputs, gates * hidden)");
        if (b_input.shape(0) != rows || b_recurrent.shape(0) != rows)
            refuse("bias: length is not gates * hidden");
        layers_.push_back({kind, below, H, keep(input), keep(recurrent), keep(b_input),
                           keep(b_recurrent)});
    }

    void add_category(size_t column, Matrix table) {
        refuse_when_ready();
        if (layers_.size() != 1) refuse("add_category: comes after the first layer and before the second");
        const size_t rows = tg_gates(layers_[0].cell) * layers_[0].hidden_size;
        if (column >= row_size_) refuse("column: outside the row");
        if (table.shape(0) == 0 || table.shape(1) != rows) refuse("table: shape is not (size, gates * hidden)");
        categories_.push_back({column, table.shape(0), keep(table)});
    }

    void set_head(Matrix weight, Vector bias) {
        refuse_when_ready();
        if (layers_.empty()) refuse("set_head: comes after the layers");
        if (weight.shape(0) != layers_.back().hidden_size || weight.shape(1) == 0 ||
            bias.shape(0) != weight.shape(1))
            refuse("head: shape is not (hidden, outputs)");
        model_.output_size = weight.shape(1);
        model_.head_weight = keep(weight);
        model_.head_bias = keep(bias);
        model_.row_size = row_size_;
        model_.n_numbers = numbers_.size();
        model_.numbers = numbers_.data();
        model_.n_categories = categories_.size();
        model_.categories = categories_.data();
        model_.n_layers = layers_.size();
        model_.layers = layers_.data();
        ready_ = true;
    }

    void step(Matrix rows, Slots slots, MutableMatrix states, MutableMatrix outputs) const {
        if (!ready_) refuse("step: the model has no head yet");
        const size_t n = rows.shape(0);
        if (rows.shape(1) != row_size_) refuse("rows: width is not the model's row size");
        if (slots.shape(0) != n) refuse("slots: length is not the number of rows");
        if (states.shape(1) != tg_state_size(&model_)) refuse("states: width is not the model's state size");
        if (outputs.shape(0) != n || outputs.shape(1) != model_.output_size)
            refuse("outputs: shape is not (rows, outputs)");
        const auto capacity = static_cast<int64_t>(states.shape(0));
        for (size_t i = 0; i < n; i++)
            if (slots.data()[i] < 0 || slots.data()[i] >= capacity) refuse("slots: outside the states");
        const ptrdiff_t bad = tg_check_categories(&model_, n, rows.data());
        if (bad >= 0) refuse("rows: event " + std::to_string(bad) + " has a category index outside its table");
        std::vector<float> scratch(tg_scratch_size(&model_));
        nb::gil_scoped_release release;
        tg_step(&model_, n, rows.data(), slots.data(), states.data(), outputs.data(), scratch.data());
    }

    size_t state_size() const { return ready_ ? tg_state_size(&model_) : 0; }
    size_t output_size() const { return ready_ ? model_.output_size : 0; }

private:
    template <typename Array> const float *keep(const Array &array) {
        weights_.emplace_back(array.data(), array.data() + array.size());
        return weights_.back().data(); // moving a vector into a longer list keeps its data in place
    }

    void refuse_when_ready() const {
        if (ready_) refuse("the model is complete: its head is set");
    }

    size_t row_size_;
    std::vector<size_t> numbers_;
    std::vector<tg_layer> layers_;
    std::vector<tg_category> categories_;
    std::vector<std::vector<float>> weights_;
    tg_model model_{};
    bool ready_ = false;
};

} // namespace

void bind_model(nb::module_ &m) {
    nb::class_<Model>(m, "Model", "A stack of recurrent layers with a linear head, stepped in fp32.")
        .def(nb::init<size_t, std::vector<size_t>>(), "row_size"_a, "numbers"_a)
        .def("add_layer", &Model::add_layer, "cell"_a, "input"_a, "recurrent"_a, "b_input"_a,
             "b_recurrent"_a, "Weights one input a row; called from the input up.")
        .def("add_category", &Model::add_category, "column"_a, "table"_a,
             "What each index of a category column adds to the first layer's gates.")
        .def("set_head", &Model::set_head, "weight"_a, "bias"_a, "The last part: hidden x outputs.")
        .def("step", &Model::step, "rows"_a, "slots"_a, "states"_a.noconvert(),
             "outputs"_a.noconvert(),
             "Step events in order; the states at their slots and the outputs are written.")
        .def_prop_ro("state_size", &Model::state_size)
        .def_prop_ro("output_size", &Model::output_size);
}
