// The model as nanobind files share it.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <atomic>
#include <cstdlib>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "array.h"

extern "C" {
#include "step.h"
}

namespace tidegate {

namespace nb = nanobind;

// ValueError: no such name.
tg_cell cell_named(const std::string &name);
tg_precision precision_named(const std::string &name);

// Zeroed memory, aligned for the widest vectors.
class Memory {
public:
    Memory() = default;
    explicit Memory(size_t bytes);
    void *data() const { return data_.get(); }

private:
    struct Free {
        void operator()(void *p) const { std::free(p); }
    };
    std::unique_ptr<void, Free> data_;
    size_t bytes_ = 0;
};

// Owns a copy of a model's weights, so that nothing outside can change or free them.
class Model {
public:
    using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
    using Vector = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
    using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

    Model(const std::string &precision, size_t row_size, std::vector<size_t> numbers, bool fast_activations,
          size_t threads);
    ~Model();
    Model(const Model &) = delete;
    Model &operator=(const Model &) = delete;
    void add_layer(const std::string &cell, size_t hidden_size, bool residual, nb::dict input,
                   nb::dict recurrent, std::optional<nb::dict> candidate, std::optional<nb::dict> norms,
                   float zoneout, float zoneout_cell, std::optional<Vector> peephole,
                   std::optional<Vector> initial);
    void add_category(size_t column, Matrix table);
    // categorical, column, first output, outputs, column that says what is missing
    using Part = std::tuple<bool, size_t, size_t, size_t, std::optional<size_t>>;
    void set_head(const std::string &kind, nb::dict parts, std::optional<Matrix> skip, size_t top,
                  const std::vector<Part> &surprise);
    void step(nb::handle rows, nb::handle slots, nb::handle states, nb::handle outputs) const;
    void step_top(nb::handle rows, nb::handle slots, nb::handle states, nb::handle scores,
                  nb::handle indices) const;
    void run(nb::handle rows, nb::handle state, nb::handle outputs) const;
    // ValueError: k best scores of n events do not have such shapes, or the head is a small one.
    void check_top(size_t n, size_t k, size_t scores, size_t indices, size_t width) const;

    const tg_model &model() const { return model_; }
    bool ready() const { return ready_; }
    size_t state_size() const { return model_.state_size; }
    size_t output_size() const { return model_.output_size; }
    size_t answer_size() const { return model_.answer_size; }
    const std::vector<float> &initial() const { return initial_; }

    class Work {
    public:
        explicit Work(const Model &model);
        ~Work();
        Work(const Work &) = delete;
        Work &operator=(const Work &) = delete;
        tg_threads threads() const;
        void *memory() const { return threads().scratch; }

    private:
        const Model &model_;
        Memory other_;
        bool mine_;
    };

private:
    template <typename T> const T *keep(const T *data, size_t count, size_t behind = 0);
    const float *keep_floats(const Floats &array, size_t count, const char *name);
    tg_product product(tg_precision precision, const nb::dict &parts, size_t inputs, size_t hidden_size,
                       size_t gates);
    void set_readout(std::optional<Matrix> skip, size_t top, const std::vector<Part> &surprise);
    void refuse_when_ready() const;
    void check_rows(const float *rows, size_t n) const;
    std::vector<float *> states_of(const ArrayOf<float, 2> &rows, const ArrayOf<int64_t, 1> &slots,
                                   const ArrayOf<float, 2, true> &states) const;

    std::vector<size_t> numbers_;
    std::vector<tg_layer> layers_;
    std::vector<tg_category> categories_;
    std::vector<tg_part> parts_;
    std::vector<float> initial_; // of all layers, zeros where nothing was learned
    bool begins_ = false;        // something was
    std::list<Memory> kept_;
    tg_model model_{};
    size_t threads_;
    tg_pool *pool_ = nullptr;
    Memory scratch_;
    mutable std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
    bool ready_ = false;
};

} // namespace tidegate
