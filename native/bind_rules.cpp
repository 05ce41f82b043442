// tidegate._core.judge_each: the sequence rules alone.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <vector>

extern "C" {
#include "rules.h"
}

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T> using Vector = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// What each of n events is to a session. The answers kept of session i: those from offsets[i] to
// offsets[i + 1].
nb::tuple judge_each(Vector<uint8_t> statuses, Vector<int64_t> last, Vector<int64_t> offsets,
                     Vector<uint64_t> kept_seqs, Vector<uint64_t> kept_hashes, Vector<int64_t> seqs,
                     Vector<uint64_t> hashes, Vector<uint8_t> starts) {
    const size_t n = statuses.size();
    if (last.size() != n || offsets.size() != n + 1 || seqs.size() != n || hashes.size() != n ||
        starts.size() != n || kept_seqs.size() != kept_hashes.size())
        throw nb::value_error("lengths do not fit");
    std::vector<tg_answer_row> rows(kept_seqs.size());
    for (size_t i = 0; i < rows.size(); i++) rows[i] = {kept_seqs.data()[i], kept_hashes.data()[i], 0, 0, 0};
    std::vector<tg_known> known(n);
    for (size_t i = 0; i < n; i++) {
        const int64_t from = offsets.data()[i], to = offsets.data()[i + 1];
        if (from < 0 || to < from || static_cast<size_t>(to) > rows.size())
            throw nb::value_error("offsets: not of the answers");
        if (statuses.data()[i] > TG_EXPIRED) throw nb::value_error("statuses: not in 0 to 4");
        if (last.data()[i] < 0 || seqs.data()[i] < 0 || last.data()[i] == INT64_MAX)
            throw nb::value_error("last, seqs: not in 0 to 2^63 - 2");
        known[i] = {static_cast<tg_status>(statuses.data()[i]), last.data()[i], static_cast<size_t>(to - from),
                    rows.data() + from};
    }
    std::vector<tg_verdict> verdicts(n);
    tg_judge_each(n, known.data(), seqs.data(), hashes.data(), starts.data(), verdicts.data());
    nb::list found[4];
    for (const tg_verdict &verdict : verdicts) {
        found[0].append(static_cast<int>(verdict.outcome));
        found[1].append(verdict.seq);
        found[2].append(verdict.expected);
        found[3].append(verdict.answer);
    }
    return nb::make_tuple(found[0], found[1], found[2], found[3]);
}

} // namespace

void bind_rules(nb::module_ &m) {
    m.attr("OUTCOMES") = nb::make_tuple(
        "step", "begin", "begin_anew", "repeat", "payload_conflict", "seq_stale", "seq_gap", "previous_failed",
        "session_ended", "session_deleted", "session_expired", "refused", "record_damaged", "not_finite_output",
        "schema_fault");
    m.def("judge_each", &judge_each, "statuses"_a, "last"_a, "offsets"_a, "kept_seqs"_a, "kept_hashes"_a,
          "seqs"_a, "hashes"_a, "starts"_a,
          "(outcomes, seqs, expected, answers) of events by the sequence rules alone. Statuses: 0 unknown, 1\n"
          "live, 2 ended, 3 deleted, 4 expired. Event i meets a session at last[i], of which the answers\n"
          "from offsets[i] to offsets[i + 1] are kept.");
}
