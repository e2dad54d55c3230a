# Generated messages, gRPC and GoogleTest are most of what a source file of ours has to be told: every
# target compiles them once. Sources include what they use all the same.
option(CKPT_PRECOMPILED_HEADERS "Precompile the headers that most sources include" ON)
if(NOT CKPT_PRECOMPILED_HEADERS)
  return()
endif()

set(message_headers
    <functional> <map> <memory> <optional> <string> <string_view> <utility> <vector>
    <absl/status/statusor.h>
    <ckpt/v1/catalog_service.pb.h> <ckpt/v1/records.pb.h> <ckpt/v1/resources.pb.h>
    <ckpt/v1/training_service.pb.h> <ckpt/v1/weight_service.pb.h>)
set(service_headers
    <grpcpp/grpcpp.h>
    <ckpt/v1/catalog_service.grpc.pb.h> <ckpt/v1/training_service.grpc.pb.h>
    <ckpt/v1/weight_service.grpc.pb.h>)
set(test_headers <gmock/gmock.h> <gtest/gtest.h>)

function(ckpt_precompile headers)
  foreach(target IN LISTS ARGN)
    if(TARGET ${target})
      target_precompile_headers(${target} PRIVATE ${headers})
    endif()
  endforeach()
endfunction()

ckpt_precompile("${message_headers}" ckpt_base ckpt_catalog ckpt_storage ckpt_policy
                ckpt_server_core ckptctl_core ckpt_conformance)
ckpt_precompile("${message_headers};${service_headers}" ckpt_rpc ckpt_client ckptbench)
ckpt_precompile("${message_headers};${test_headers}" storage_test catalog_tests policy_tests
                server_tests integration_tests proto_tests ckptctl_test ckpt_storage_testing)
ckpt_precompile("${message_headers};${service_headers};${test_headers}" client_test load_tests wire_tests
                ckpt_fake_daemon)
