#include "server/http/http_server.h"

#include <gmock/gmock.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "server/http/metrics.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using boost::asio::ip::tcp;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() {
    auto server = HttpServer::Start(
        "127.0.0.1:0", {[this] { return reason_; }, [this] { return metrics_.Render(); }});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Sends `request` as it is, reads until the server closes.
  std::string Exchange(const std::string& request) {
    const std::string address = server_->address();
    boost::asio::io_context io;
    tcp::socket socket(io);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"),
                    static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)))});
    boost::asio::write(socket, boost::asio::buffer(request));
    std::string answer;
    boost::system::error_code error;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), error);
    return answer;
  }
  std::string Get(const std::string& target) {
    return Exchange("GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }

  std::string reason_;
  Metrics metrics_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, Healthz) {
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
  reason_ = "the index takes no more writes";
  const std::string answer = Get("/healthz?verbose");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer, HasSubstr("the index takes no more writes"));
}

TEST_F(HttpServerTest, MetricsAreRenderedAndSampled) {
  metrics_.events.Add(3);
  metrics_.SetSampler([](Metrics& metrics) { metrics.runs.Set(7); });
  const std::string answer = Get("/metrics");
  EXPECT_THAT(answer, HasSubstr("ckptd_events_total 3"));
  EXPECT_THAT(answer, HasSubstr("ckptd_runs 7"));
  EXPECT_THAT(answer, HasSubstr("ckptd_commit_seconds_bucket"));
}

TEST_F(HttpServerTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Get("/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Exchange("POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                       "Content-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
  EXPECT_EQ(Exchange("garbage\r\n\r\n"), "");
  EXPECT_EQ(Exchange("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), "");
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AnIpv6AddressStandsInBrackets) {
  const auto server = HttpServer::Start("[::1]:0", {});
  // Not every machine has IPv6; the address is understood either way.
  EXPECT_THAT(std::string(MessageOf(server.status())), Not(HasSubstr("not found")));
}

TEST_F(HttpServerTest, APortInUseIsSaid) {
  const auto second = HttpServer::Start(server_->address(), {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(MessageOf(second.status())), HasSubstr("in use"));
  EXPECT_FALSE(HttpServer::Start("nonsense", {}).ok());
}

}  // namespace
}  // namespace ckpt::server
