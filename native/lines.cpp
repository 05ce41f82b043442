#include "lines.h"
#include "instants.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include <sys/random.h>

extern "C" {
#include "arena.h"
#include "siphash.h"
#include "utf8.h"
}

namespace tidegate {

namespace {

struct Seed {
    uint8_t bytes[16];
    Seed() {
        if (getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes))
            throw std::runtime_error("no random seed is to be had");
    }
};

} // namespace

size_t TextHash::operator()(std::string_view text) const {
    static const Seed seed;
    uint64_t hash[2];
    tg_siphash(seed.bytes, reinterpret_cast<const uint8_t *>(text.data()), text.size(), hash);
    return hash[0];
}

Kind kind_named(const std::string &name) {
    if (name == "numeric") return Kind::numeric;
    if (name == "boolean") return Kind::boolean;
    if (name == "category") return Kind::category;
    throw std::invalid_argument("fields: a kind is not numeric, boolean or category");
}

Field::Field(std::string name, Kind kind, bool required) : name(std::move(name)), kind(kind), required(required) {
    const bool is_plain = std::all_of(this->name.begin(), this->name.end(), [](char c) {
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
    });
    if (is_plain) key = '"' + this->name + "\":";
}

Fields::Fields(std::vector<Field> all) : all(std::move(all)) {
    for (size_t i = 0; i < this->all.size(); i++) places.emplace(this->all[i].name, i);
    if (places.size() != this->all.size()) throw std::invalid_argument("fields: a name occurs twice");
}

namespace {

// NAMED: the session is known without being a member.
enum Member : unsigned { SESSION = 1, SEQ = 2, TIME = 4, START = 8, END = 16, EVENT = 32, NAMED = 64 };
enum Flag : uint8_t { BEGINS = 1, ENDS = 2 };

// Powers of ten that a double holds exactly.
constexpr double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Reader {
public:
    Reader(const Fields &fields, const Bounds &bounds, size_t count, Lines &to)
        : fields_(fields.all), named_(fields.places), bounds_(bounds), count_(count), to_(to),
          order_(fields_.size()), seen_(fields_.size()) {
        for (size_t i = 0; i < fields_.size(); i++) {
            order_[i] = i;
            places_.push_back(fields_[i].kind == Kind::category ? texts_++ : numbers_++);
            required_ += fields_[i].required;
        }
        to_.offsets.reserve(count_ + 1);
        to_.offsets.push_back(0);
        to_.seqs.assign(count_, 0);
        to_.times.assign(count_, NAN);
        to_.flags.assign(count_, 0);
        to_.numbers.assign(numbers_ * count_, NAN);
        to_.texts.resize(texts_);
        for (Texts &texts : to_.texts) texts.codes.assign(count_, -1);
    }

    bool lines(std::string_view data) {
        go_to(data);
        for (row_ = 0; row_ < count_; row_++)
            if (!object() || !(take('\n') || at_ == end_)) return false;
        return at_ == end_;
    }

    bool bodies(const Body *each) {
        feed_ = '\n'; // here it ends nothing
        for (row_ = 0; row_ < count_; row_++) {
            session_ = each[row_].session;
            if (!session_.empty() && !(is_plain(session_) && add_session(session_))) return false;
            go_to(each[row_].data);
            if (!object() || at_ != end_) return false;
        }
        return true;
    }

private:
    void go_to(std::string_view data) {
        at_ = data.data();
        end_ = at_ + data.size();
    }

    // Whether a text is its own JSON, between quotes.
    static bool is_plain(std::string_view text) {
        return std::none_of(text.begin(), text.end(), [](char c) {
            return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
        });
    }

    bool take(char c) {
        if (*at_ != c) return false;
        at_++;
        return true;
    }

    void blanks() {
        while (*at_ == ' ' || *at_ == '\t' || *at_ == '\r' || *at_ == feed_) at_++;
    }

    bool word(const char *text, size_t size) {
        if (static_cast<size_t>(end_ - at_) < size || std::memcmp(at_, text, size) != 0) return false;
        at_ += size;
        return true;
    }

    bool null() { return *at_ == 'n' && word("null", 4); }

    // An event, and the blanks around it.
    bool object() {
        unsigned seen = session_.empty() ? 0 : NAMED;
        blanks();
        if (!take('{')) return false;
        do {
            std::string_view name;
            blanks();
            if (!text(name) || !colon()) return false;
            const unsigned member = member_named(name);
            if (member == 0 || seen & member || !value(member)) return false;
            seen |= member;
            blanks();
        } while (take(','));
        if (!take('}') || !(seen & (SESSION | NAMED)) || !(seen & EVENT)) return false;
        blanks();
        return true;
    }

    bool colon() {
        blanks();
        if (!take(':')) return false;
        blanks();
        return true;
    }

    static unsigned member_named(std::string_view name) {
        switch (name.size()) {
        case 3: return name == "seq" ? SEQ : name == "end" ? END : 0;
        case 4: return name == "time" ? TIME : 0;
        case 5: return name == "event" ? EVENT : name == "start" ? START : 0;
        case 7: return name == "session" ? SESSION : 0;
        default: return 0;
        }
    }

    bool value(unsigned member) {
        switch (member) {
        case SESSION: return session();
        case SEQ: return null() || seq();
        case TIME: return null() || time();
        case START: return flag(BEGINS);
        case END: return flag(ENDS);
        default: return event();
        }
    }

    bool session() {
        std::string_view name;
        if (!text(name)) return false;
        return session_.empty() ? add_session(name) : name == session_;
    }

    bool add_session(std::string_view name) {
        if (name.empty() || name.size() > TG_KEY_MAX) return false;
        to_.ids.append(name);
        to_.offsets.push_back(static_cast<int32_t>(to_.ids.size()));
        return true;
    }

    bool seq() {
        if (!is_digit(*at_) || *at_ == '0') return false;
        int64_t number = 0;
        const auto [after, error] = std::from_chars(at_, end_, number);
        if (error != std::errc() || number > bounds_.most_seq) return false;
        at_ = after; // a fraction or an exponent is no end of a member, and so refused
        to_.seqs[row_] = number;
        return true;
    }

    bool time() {
        double seconds;
        std::string_view name;
        if (!(*at_ == '"' ? text(name) && read_instant(name, seconds) : number(seconds)) ||
            !(seconds >= bounds_.earliest && seconds <= bounds_.latest))
            return false;
        if (seconds == 0 && std::signbit(seconds)) return false;
        to_.times[row_] = seconds;
        to_.timed = true;
        return true;
    }

    bool flag(uint8_t bit) {
        if (word("false", 5)) return true;
        to_.flags[row_] |= bit;
        to_.flagged = true;
        return word("true", 4);
    }

    bool event() {
        size_t required = 0;
        if (!take('{')) return false;
        blanks();
        if (take('}')) return required_ == 0;
        size_t place = 0;
        do {
            blanks();
            const size_t field = field_at(place++);
            if (field == fields_.size() || seen_[field] == row_ + 1) return false;
            seen_[field] = row_ + 1;
            if (!null()) {
                if (!field_value(field)) return false;
                required += fields_[field].required;
            }
            blanks();
        } while (take(','));
        return take('}') && required == required_;
    }

    // The field whose name and colon stand here; as many as there are if that is none. Events of one client
    // have their fields in the same order: the one that was met at this place last is tried first.
    size_t field_at(size_t place) {
        const size_t none = fields_.size();
        if (place >= none) return none;
        const std::string &usual = fields_[order_[place]].key;
        if (!usual.empty() && word(usual.data(), usual.size())) {
            blanks();
            return order_[place];
        }
        std::string_view name;
        if (!text(name) || !colon()) return none;
        const auto found = named_.find(name);
        return found == named_.end() ? none : order_[place] = found->second;
    }

    bool field_value(size_t field) {
        const size_t place = places_[field];
        switch (fields_[field].kind) {
        case Kind::numeric: {
            double &to = to_.numbers[place * count_ + row_];
            if (!number(to)) return false;
            to += 0.0; // -0 becomes +0
            return true;
        }
        case Kind::boolean: {
            double &to = to_.numbers[place * count_ + row_];
            if (*at_ == 't') return to = 1.0, word("true", 4);
            return to = 0.0, word("false", 5);
        }
        case Kind::category: {
            std::string_view name;
            if (!(*at_ == '"' ? text(name) : whole(name))) return false;
            Texts &texts = to_.texts[place];
            const auto [found, is_new] = texts.known.try_emplace(name, static_cast<int32_t>(texts.words.size()));
            if (is_new) texts.words.push_back(name);
            texts.codes[row_] = found->second;
            return true;
        }
        }
        return false;
    }

    // A text without escapes.
    bool text(std::string_view &to) {
        if (!take('"')) return false;
        const char *from = at_;
        bool ascii = true;
        for (;; at_++) {
            const auto c = static_cast<unsigned char>(*at_);
            if (c == '"') break;
            if (c < 0x20 || c == '\\') return false;
            ascii = ascii && c < 0x80;
        }
        if (at_ >= end_) return false;
        to = {from, static_cast<size_t>(at_ - from)};
        at_++;
        return ascii || tg_is_utf8(reinterpret_cast<const uint8_t *>(from), to.size());
    }

    // A whole number, where the text of one is a category's.
    bool whole(std::string_view &to) {
        const char *from = at_;
        if (*at_ == '-') at_++;
        const char *digits = at_;
        while (is_digit(*at_)) at_++;
        to = {from, static_cast<size_t>(at_ - from)};
        const auto size = at_ - digits;
        const bool is_zero = size == 1 && *digits == '0' && digits == from;
        return is_zero || (size > 0 && size <= 18 && *digits != '0');
    }

    // RFC 8259, 6. Few digits are a product or a quotient of numbers that are exact, and so rounded once.
    bool number(double &to) {
        const char *from = at_;
        const bool negative = take('-');
        uint64_t digits = 0;
        int size = 0, exponent = 0;
        const char *first = at_;
        for (; is_digit(*at_); at_++, size++) digits = digits * 10 + static_cast<uint64_t>(*at_ - '0');
        if (size == 0 || (*first == '0' && size > 1)) return false;
        if (take('.')) {
            const char *fraction = at_;
            for (; is_digit(*at_); at_++, size++) digits = digits * 10 + static_cast<uint64_t>(*at_ - '0');
            exponent = static_cast<int>(fraction - at_);
            if (exponent == 0) return false;
        }
        bool is_short = size <= 18 && digits < (UINT64_C(1) << 53) && exponent >= -22;
        if (*at_ == 'e' || *at_ == 'E') {
            at_++;
            if (*at_ == '+' || *at_ == '-') at_++;
            if (!is_digit(*at_)) return false;
            while (is_digit(*at_)) at_++;
            is_short = false;
        }
        if (is_short) {
            const double magnitude = static_cast<double>(digits) / POWERS[-exponent];
            to = negative ? -magnitude : magnitude;
            return true;
        }
        const auto [after, error] = std::from_chars(from, at_, to);
        return error == std::errc() && after == at_;
    }

    const char *at_ = nullptr, *end_ = nullptr;
    char feed_ = ' '; // is a blank, too
    std::string_view session_; // of the body at hand, if something else than itself names it
    const std::vector<Field> &fields_;
    const std::unordered_map<std::string_view, size_t> &named_;
    const Bounds &bounds_;
    const size_t count_;
    Lines &to_;
    std::vector<size_t> order_; // the field that was last met at each place of an event
    std::vector<size_t> seen_; // the line after the one in which each field was last met
    std::vector<size_t> places_; // of each field among the numbers, or the texts
    size_t numbers_ = 0, texts_ = 0, required_ = 0, row_ = 0;
};

} // namespace

bool read_lines(const Fields &fields, const Bounds &bounds, std::string_view data, size_t count,
                Lines &to) {
    return Reader(fields, bounds, count, to).lines(data);
}

bool read_bodies(const Fields &fields, const Bounds &bounds, const Body *bodies, size_t count,
                 Lines &to) {
    return Reader(fields, bounds, count, to).bodies(bodies);
}

Run cut_lines(std::string_view data, size_t begin, size_t most, size_t bytes) {
    Run run{begin, 0, 0, false};
    while (run.lines < most && run.end < data.size()) {
        const size_t newline = data.find('\n', run.end);
        if (newline == std::string_view::npos) break;
        if (newline - run.end > bytes) {
            run.cut = true;
            break;
        }
        const char *from = data.data() + run.end, *to = data.data() + newline;
        run.filled += std::any_of(from, to, [](char c) { return !std::strchr(" \t\r\v\f", c) || c == 0; });
        run.lines++;
        run.end = newline + 1;
    }
    return run;
}

} // namespace tidegate
