#include "answers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

namespace tidegate {

AnswerWords::AnswerWords(std::string version, std::vector<std::string> classes, std::string word, size_t most)
    : version_(std::move(version)), word_(std::move(word)), classes_(std::move(classes)), most_(most) {}

AnswerWords::AnswerWords(std::string version, size_t size, std::vector<Piece> pieces, std::string tail)
    : version_(std::move(version)), size_(size), pieces_(std::move(pieces)), tail_(std::move(tail)) {}

size_t AnswerWords::outputs() const {
    if (classes_.empty()) return size_;
    return classes_.size() > 2 ? classes_.size() : 1;
}

void AnswerWords::write(std::string &to, const Answered &answered) const {
    to.append("{\"session\":\"").append(answered.session);
    to.append("\",\"seq\":").append(std::to_string(answered.seq)).append(",\"time\":");
    write_number(to, answered.time);
    to.append(",\"model_version\":").append(version_).append(",\"answer\":");
    write_answer(to, answered.outputs);
    if (answered.duplicate) to += ",\"duplicate\":true";
    if (answered.reset) to += ",\"session_reset\":true";
    to += '}';
}

void AnswerWords::write_answer(std::string &to, const float *outputs) const {
    if (classes_.size() > 2) return write_many(to, outputs);
    if (classes_.size() == 2) return write_two(to, outputs[0]);
    write_pieces(to, outputs);
}

void AnswerWords::write_pieces(std::string &to, const float *numbers) const {
    for (const Piece &piece : pieces_) {
        const double number = numbers[piece.index];
        to += piece.literal;
        switch (piece.kind) {
        case Piece::Kind::number: write_number(to, number * piece.scale + piece.mean); break;
        case Piece::Kind::above: to += number > piece.threshold ? "true" : "false"; break;
        case Piece::Kind::name: {
            const std::vector<std::string> &names = *piece.names;
            const bool is_index = number >= 0.0 && number < static_cast<double>(names.size());
            to += is_index ? names[static_cast<size_t>(number)] : "null";
        }
        }
    }
    to += tail_;
}

// Both from exp(-|logit|): neither overflows, and the small one keeps its digits.
void AnswerWords::write_two(std::string &to, double logit) const {
    const double e = std::exp(-std::fabs(logit));
    const double small = e / (1.0 + e), large = 1.0 / (1.0 + e);
    const bool second = logit > 0;
    const double probabilities[] = {second ? small : large, second ? large : small};
    write_classes(to, second, probabilities);
}

void AnswerWords::write_many(std::string &to, const float *logits) const {
    const size_t n = classes_.size();
    const float *highest = std::max_element(logits, logits + n); // the first of equals
    std::vector<double> shares(n);
    for (size_t i = 0; i < n; i++)
        shares[i] = std::exp(static_cast<double>(logits[i]) - static_cast<double>(*highest));
    const double total = exact_sum(shares);
    for (double &share : shares) share /= total;
    write_classes(to, static_cast<size_t>(highest - logits), shares.data());
}

void AnswerWords::write_classes(std::string &to, size_t likeliest, const double *probabilities) const {
    to.append("{\"").append(word_).append("\":").append(classes_[likeliest]).append(",\"probabilities\":");
    char before = '{';
    for (size_t i : named(probabilities)) {
        to.append(1, before).append(classes_[i]).append(1, ':');
        write_number(to, probabilities[i]);
        before = ',';
    }
    to += "}}";
}

// Which classes an answer names: all, as they stand, or the likeliest, falling; of equals the first.
std::vector<size_t> AnswerWords::named(const double *probabilities) const {
    std::vector<size_t> order(classes_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (most_ == 0 || most_ >= order.size()) return order;
    const auto end = order.begin() + static_cast<std::ptrdiff_t>(most_);
    std::partial_sort(order.begin(), end, order.end(), [probabilities](size_t a, size_t b) {
        return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
    });
    order.resize(most_);
    return order;
}

double exact_sum(const std::vector<double> &numbers) {
    // Numbers whose sum is that of all so far, none of which shares a digit with another, smallest first.
    std::vector<double> parts;
    for (double number : numbers) {
        size_t kept = 0;
        for (double part : parts) {
            if (std::fabs(number) < std::fabs(part)) std::swap(number, part);
            const double sum = number + part, rest = part - (sum - number);
            if (rest != 0.0) parts[kept++] = rest;
            number = sum;
        }
        parts.resize(kept);
        parts.push_back(number);
    }
    double sum = 0.0, rest = 0.0;
    size_t left = parts.size();
    while (left > 0 && rest == 0.0) {
        const double before = sum, part = parts[--left];
        sum = before + part;
        rest = part - (sum - before);
    }
    // Half a unit was rounded to even; what lies below it says where it should have gone.
    if (left > 0 && (rest < 0.0) == (parts[left - 1] < 0.0) && rest != 0.0) {
        const double twice = rest * 2.0, other = sum + twice;
        if (other - sum == twice) sum = other;
    }
    return sum;
}

void write_number(std::string &to, double number) {
    if (!std::isfinite(number)) { // JSON has no word for it
        to += "null";
        return;
    }
    char text[32];
    const char *end = std::to_chars(text, text + sizeof text, number, std::chars_format::scientific).ptr;
    const char *at = text;
    if (*at == '-') to += *at++;
    char digits[20];
    int size = 0;
    for (; *at != 'e'; at++)
        if (*at != '.') digits[size++] = *at;
    int exponent = 0;
    at++;
    std::from_chars(at + (*at == '+'), end, exponent);
    const int point = exponent + 1; // digits before the point
    if (point > 16 || point <= -5) {
        to += digits[0];
        if (size > 1) to.append(1, '.').append(digits + 1, static_cast<size_t>(size - 1));
        to += 'e';
        to += std::to_string(exponent);
    } else if (point <= 0) {
        to.append("0.").append(static_cast<size_t>(-point), '0').append(digits, static_cast<size_t>(size));
    } else if (size <= point) {
        to.append(digits, static_cast<size_t>(size)).append(static_cast<size_t>(point - size), '0').append(".0");
    } else {
        to.append(digits, static_cast<size_t>(point)).append(1, '.');
        to.append(digits + point, static_cast<size_t>(size - point));
    }
}

} // namespace tidegate
