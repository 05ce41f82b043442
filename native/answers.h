// Answers as JSON, from the outputs of a head: the C form of `tidegate.answers`, to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tidegate {

// What a line or a body says of an event, besides its task's words.
struct Answered {
    std::string_view session; // as JSON has it between quotes
    int64_t seq;
    double time;
    bool duplicate, reset;
    const float *outputs;
};

class AnswerWords {
public:
    // `version` and `classes` are JSON. Two classes share an output, the logit of the second; more have one each.
    AnswerWords(std::string version, std::vector<std::string> classes);
    AnswerWords(std::string version, double mean, double scale);
    // `fields` are JSON. An answer is a score and each field's; above `threshold` the event is anomalous.
    static AnswerWords anomaly(std::string version, std::vector<std::string> fields, double threshold);

    size_t outputs() const;
    void write(std::string &to, const Answered &answered) const;
    void write_answer(std::string &to, const float *outputs) const; // the task's words alone

private:
    void write_surprise(std::string &to, const float *scores) const;
    void write_two(std::string &to, double logit) const;
    void write_many(std::string &to, const float *logits) const;
    void write_classes(std::string &to, size_t likeliest, const double *probabilities) const;

    std::string version_;
    std::vector<std::string> classes_, fields_; // one of them, or none
    double mean_ = 0.0, scale_ = 1.0, threshold_ = 0.0;
};

// A number as the JSON library writes it: the shortest digits that give it back, or null.
void write_number(std::string &to, double number);

// The sum of numbers, rounded once (J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast
// Robust Geometric Predicates", 1997): as Python's `math.fsum`.
double exact_sum(const std::vector<double> &numbers);

} // namespace tidegate
