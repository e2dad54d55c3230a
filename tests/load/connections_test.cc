#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <string_view>

#include "storage/base/unique_fd.h"
#include "tests/load/load.h"

namespace ckpt::load {
namespace {

class ConnectionsTest : public LoadTest {
 protected:
  // A bare connection to the daemon's socket.
  UniqueFd RawConnection() {
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::string path = daemon_.server().substr(std::string_view("unix:").size());
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
              0);
    return socket;
  }
};

TEST_F(ConnectionsTest, TenThousandLeaveNothingBehind) {
  constexpr int kConnections = 10'000;
  constexpr int kCalls = 100;
  constexpr std::chrono::minutes kPatience(1);
  constexpr std::string_view kGarbage = "GET / HTTP/1.1\r\n\r\n\xff\xfe\x00garbage";
  for (int i = 0; i < kCalls; ++i) Status();  // what the daemon keeps for good it has by now
  const int64_t descriptors = DescriptorsOf(pid());
  const int64_t threads = ThreadsOf(pid());
  for (int i = 0; i < kConnections; ++i) {
    const UniqueFd socket = RawConnection();
    if (i % 3 != 0) continue;  // most say nothing
    ASSERT_GT(send(socket.get(), kGarbage.data(), kGarbage.size(), MSG_NOSIGNAL), 0);
  }
  for (int i = 0; i < kCalls; ++i) {
    const auto channel = Connect();
    // The daemon may still be taking those before.
    ASSERT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + kPatience));
    wire::Trainer trainer(channel);
    ASSERT_TRUE(trainer.Hello().has_value());
  }
  AwaitTrainers(0);
  // The daemon closes its ends after ours; asking it is what passes the time.
  while (DescriptorsOf(pid()) > descriptors + 2) Status();
  // gRPC adds a few when all of its own are busy at once, whatever their number of connections.
  EXPECT_LE(ThreadsOf(pid()), threads + 8);
  ExpectService("another");
}

}  // namespace
}  // namespace ckpt::load
