#include <fmt/format.h>

#include <CLI/App.hpp>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "client/ckptctl/commands/commands.h"
#include "client/ckptctl/json.h"
#include "client/ckptctl/plot.h"
#include "client/ckptctl/printer.h"
#include "client/ckptctl/row_writer.h"
#include "client/ckptctl/target.h"
#include "client/ckptctl/text.h"
#include "google/protobuf/util/time_util.h"

namespace ckpt::ctl {
namespace {

constexpr int kPlotHeight = 13;
constexpr int kPointsPerColumn = 2 * 3;  // two columns of dots, three points for each
constexpr int kMaxMarks = 100'000;
constexpr int kMarksPage = 1000;

struct Options {
  std::string run;
  std::vector<std::string> metrics;
  v1::GetHistoryRequest request;
  int points = 0;  // 0: 1,000, or as many as a plot shows
  bool newest = false;
  bool plot = false;
};

// One point of one metric.
struct Row {
  const v1::MetricSeries* series;
  int index;
};

std::string TimeOf(const Row& row, Reader reader) {
  const int64_t nanos = row.series->times_unix_nanos(row.index);
  if (nanos == 0) return "";
  const auto time = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(nanos);
  return reader == Reader::kPerson ? HumanTime(time) : ExactTime(time);
}

void PrintRows(const v1::GetHistoryResponse& history, Format format, std::ostream& out) {
  struct Column {
    const char* header;
    const char* csv_header;
    std::string (*cell)(const Row&, Reader);
  };
  static const Column kColumns[] = {
      {"METRIC", "metric", [](const Row& row, Reader) { return row.series->metric(); }},
      {"EVENT", "event",
       [](const Row& row, Reader) { return std::to_string(row.series->seqs(row.index)); }},
      {"EPOCH", "epoch",
       [](const Row& row, Reader) { return std::to_string(row.series->epochs(row.index)); }},
      {"BATCH", "batch",
       [](const Row& row, Reader) {
         const int64_t batch = row.series->batches(row.index);
         return batch < 0 ? std::string() : std::to_string(batch);
       }},
      {"VALUE", "value",
       [](const Row& row, Reader reader) {
         const double value = row.series->values(row.index);
         return reader == Reader::kPerson ? HumanNumber(value) : ExactNumber(value);
       }},
      {"TIME", "time", TimeOf},
  };
  const bool csv = format == Format::kCsv;
  std::vector<std::string> headers;
  for (const Column& column : kColumns)
    headers.emplace_back(csv ? column.csv_header : column.header);
  const auto rows = csv ? MakeCsvWriter(out, headers) : MakeTableWriter(out, headers);
  for (const v1::MetricSeries& series : history.series()) {
    for (int i = 0; i < series.seqs_size(); ++i) {
      std::vector<std::string> cells;
      for (const Column& column : kColumns) {
        cells.push_back(column.cell({&series, i}, csv ? Reader::kProgram : Reader::kPerson));
      }
      rows->Write(std::move(cells));
    }
  }
  rows->Finish();
}

void PrintNames(const v1::GetHistoryResponse& history, std::ostream& out) {
  for (const v1::MetricSeries& series : history.series()) out << Escaped(series.metric()) << '\n';
}

void PrintJson(const v1::GetHistoryResponse& history, std::ostream& out) {
  out << '[';
  const char* separator = "\n";
  for (const v1::MetricSeries& series : history.series()) {
    out << std::exchange(separator, ",\n") << ToJsonLine(series);
  }
  out << (history.series().empty() ? "]\n" : "\n]\n");
}

// The run's checkpoints, and which is the best where a policy ranks them.
absl::StatusOr<std::vector<PlotMark>> Marks(Client& client, const std::string& run) {
  const auto best = client.GetBest(run, "", "", "");
  std::vector<PlotMark> marks;
  absl::Status status =
      client.ListCheckpoints(run, "", "", kMarksPage, [&](const v1::Checkpoint& checkpoint) {
        marks.push_back(
            {.seq = checkpoint.seq(), .best = best.ok() && best->name() == checkpoint.name()});
        return marks.size() < kMaxMarks;
      });
  if (!status.ok()) return status;
  return marks;
}

// NOT_FOUND if there are no points at all of some metric that was asked for.
absl::Status CheckFound(const v1::GetHistoryResponse& history, const Options& options) {
  if (options.metrics.empty()) return absl::OkStatus();
  for (const v1::MetricSeries& series : history.series()) {
    if (series.seqs_size() > 0) continue;
    return absl::NotFoundError(
        fmt::format("run '{}' has no points of '{}' there; 'ckptctl history {}' lists its metrics",
                    options.run, Escaped(series.metric()), options.run));
  }
  return absl::OkStatus();
}

absl::Status History(const Context& context, const Options& options) {
  const absl::StatusOr<Target> target = ParseTarget(options.run);
  if (!target.ok()) return target.status();
  if (!target->id.empty()) {
    return absl::InvalidArgumentError("history takes a run, and names of its metrics");
  }
  if (options.plot && context.format != Format::kTable) {
    return absl::InvalidArgumentError("--plot is a format of its own; leave -o out");
  }
  v1::GetHistoryRequest request = options.request;
  request.mutable_metrics()->Assign(options.metrics.begin(), options.metrics.end());
  if (options.newest) request.set_method(v1::GetHistoryRequest::METHOD_NEWEST);
  const int columns = context.streams.columns;
  request.set_points(options.points == 0 && options.plot ? columns * kPointsPerColumn
                                                         : options.points);
  Client client = context.Connect();
  const auto history = client.GetHistory(target->run, request);
  if (!history.ok()) return history.status();
  std::ostream& out = context.streams.out;
  if (context.format == Format::kJson) {
    PrintJson(*history, out);
  } else if (context.format == Format::kName || options.metrics.empty()) {
    PrintNames(*history, out);
  } else if (options.plot) {
    const auto marks = Marks(client, target->run);
    if (!marks.ok()) return marks.status();
    for (const v1::MetricSeries& series : history->series()) {
      out << DrawPlot(series, *marks, columns, kPlotHeight);
    }
  } else {
    PrintRows(*history, context.format, out);
  }
  return CheckFound(*history, options);
}

}  // namespace

void AddHistoryCommand(CLI::App& app, Context& context) {
  CLI::App* history = app.add_subcommand("history", "Show the course of metrics");
  const auto options = std::make_shared<Options>();
  const auto at_least = [](auto least) {
    return CLI::Range(least, std::numeric_limits<decltype(least)>::max()).description("");
  };
  history->add_option("RUN", options->run, "The run")->required();
  history->add_option("METRIC", options->metrics,
                      "Up to ten of its metrics; without one, their names are listed");
  history
      ->add_option("--points", options->points,
                   "Most points of each metric, up to 10,000 (default 1,000, or as many as a "
                   "plot shows)")
      ->check(at_least(1));
  history->add_flag("--plot", options->plot, "Draw them, with a mark for each checkpoint");
  history->add_flag("--newest", options->newest,
                    "The newest points, every one of them, instead of some of all");
  history
      ->add_option_function<uint64_t>(
          "--from", [options](uint64_t seq) { options->request.set_from_seq(seq); },
          "Number of the first event of interest")
      ->check(at_least(uint64_t{1}));
  history
      ->add_option_function<uint64_t>(
          "--to", [options](uint64_t seq) { options->request.set_to_seq(seq); },
          "Number of the last one")
      ->check(at_least(uint64_t{1}));
  history->footer(
      "Events are numbered from 1 over the whole run. Where there are more points than wanted, "
      "each\n"
      "range of events is represented by its smallest, largest and newest: no spike is lost.\n"
      "Examples:\n"
      "  ckptctl history digits\n"
      "  ckptctl history digits loss val_loss --plot\n"
      "  ckptctl history digits loss --newest --points 20\n"
      "  ckptctl -o csv history digits loss --points 10000 > loss.csv");
  history->callback([&context, options] {
    context.command = [&context, options] { return History(context, *options); };
  });
}

}  // namespace ckpt::ctl
