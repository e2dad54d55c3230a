// A user of the installed library: uses each public header and links everything behind it.
#include <iostream>

#include "ckpt/client.h"
#include "ckpt/errors.h"
#include "ckpt/run.h"

int main() {
  ckpt::Client client({.server = "unix:/nowhere/ckptd.sock"});
  const absl::Status absent = client.GetStatus().status();
  const absl::Status refused = ckpt::Run::Start({.run = "not a name"}).status();
  std::cout << absent << '\n' << refused << '\n';
  const bool as_expected =
      absl::IsUnavailable(absent) && ckpt::ReasonOf(refused) == ckpt::v1::ERROR_REASON_NAME_INVALID;
  return as_expected ? 0 : 1;
}
