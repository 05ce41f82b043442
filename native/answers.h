// Answers as JSON, from the numbers that an engine answers with: the C form of `tidegate.answers`, to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

// A piece of an answer: JSON as it stands, and behind it what becomes of one of the numbers.
struct Piece {
    enum class Kind { number, above, name };
    std::string literal;
    Kind kind;
    size_t index; // which number
    double scale = 1.0, mean = 0.0; // number: as number * scale + mean
    double threshold = 0.0;         // above: true, if it is larger
    // name: the JSON text at its whole part; null, if there is none. Pieces share catalogues.
    std::shared_ptr<const std::vector<std::string>> names = {};
};

class AnswerWords {
public:
    // `version` and `classes` are JSON. Two classes share an output, the logit of the second; more have one each.
    // `word` is what the likeliest one is called. Of more than `most`, if that is not 0, only so many are named,
    // the likeliest first.
    AnswerWords(std::string version, std::vector<std::string> classes, std::string word, size_t most);
    // Pieces of `size` numbers (their indices are below it), and the JSON that ends the answer.
    AnswerWords(std::string version, size_t size, std::vector<Piece> pieces, std::string tail);

    size_t outputs() const;
    void write(std::string &to, const Answered &answered) const;
    void write_answer(std::string &to, const float *outputs) const; // the task's words alone

private:
    void write_pieces(std::string &to, const float *numbers) const;
    void write_two(std::string &to, double logit) const;
    void write_many(std::string &to, const float *logits) const;
    void write_classes(std::string &to, size_t likeliest, const double *probabilities) const;
    std::vector<size_t> named(const double *probabilities) const;

    std::string version_, word_;
    std::vector<std::string> classes_;
    size_t most_ = 0, size_ = 0;
    std::vector<Piece> pieces_;
    std::string tail_;
};

// A number as the JSON library writes it: the shortest digits that give it back, or null.
void write_number(std::string &to, double number);

// The sum of numbers, rounded once (J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast
// Robust Geometric Predicates", 1997): as Python's `math.fsum`.
double exact_sum(const std::vector<double> &numbers);

} // namespace tidegate
