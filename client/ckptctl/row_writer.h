// Rows of text, as a table or as comma-separated values.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace ckpt::ctl {

class RowWriter {
 public:
  virtual ~RowWriter() = default;
  // As many cells as there are headers.
  virtual void Write(std::vector<std::string> cells) = 0;
  virtual void Finish() = 0;
};

// Aligned columns, escaped. Holds back up to 1,000 rows to measure them; widths only grow.
std::unique_ptr<RowWriter> MakeTableWriter(std::ostream& out, std::vector<std::string> headers);

// RFC 4180, with a header, lines ended by \n.
std::unique_ptr<RowWriter> MakeCsvWriter(std::ostream& out, std::vector<std::string> headers);

}  // namespace ckpt::ctl
