#include "instants.h"

#include <cstdint>

namespace tidegate {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Days from 1970 to a date of the proleptic Gregorian calendar; years are counted from March, so that the day
// that may be missing is the last one.
int64_t days_to(int year, int month, int day) {
    const int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

bool is_date(int year, int month, int day) {
    static constexpr int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12) return false;
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day >= 1 && day <= DAYS[month - 1] + (month == 2 && is_leap);
}

// `####-##-##T##:##:##`, and `+##:##`, as numbers.
bool read_form(std::string_view text, const char *form, int *to) {
    *to = 0;
    for (const char c : text) {
        const bool is_end = *form != '#';
        if (is_end ? c != *form : !is_digit(c)) return false;
        if (is_end) *++to = 0;
        else *to = *to * 10 + (c - '0');
        form++;
    }
    return true;
}

} // namespace

bool read_instant(std::string_view text, double &seconds) {
    if (text.size() < 20) return false;
    int at[6], offset[3] = {0, 0, 0};
    if (!read_form(text.substr(0, 19), "####-##-##T##:##:##", at) || !is_date(at[0], at[1], at[2])) return false;
    if (at[3] > 23 || at[4] > 59 || at[5] > 59) return false;
    size_t place = 19;
    int64_t micros = 0;
    if (text[place] == '.') {
        size_t digits = 0;
        for (place++; place < text.size() && is_digit(text[place]); place++)
            if (digits++ < 6) micros = micros * 10 + (text[place] - '0');
        if (digits == 0) return false;
        for (; digits < 6; digits++) micros *= 10;
    }
    const std::string_view zone = text.substr(place);
    if (zone != "Z") {
        if (zone.size() != 6 || !read_form(zone, zone[0] == '-' ? "-##:##" : "+##:##", offset)) return false;
        if (offset[1] > 23 || offset[2] > 59) return false;
    }
    const int64_t minutes = (zone[0] == '-' ? -1 : 1) * (offset[1] * 60 + offset[2]);
    const int64_t whole = ((days_to(at[0], at[1], at[2]) * 24 + at[3]) * 60 + at[4] - minutes) * 60 + at[5];
    seconds = static_cast<double>(whole * 1000000 + micros) / 1e6;
    return true;
}

} // namespace tidegate
