--- The child that connects to the daemon ends, and is started again.
local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal = harness.test, harness.wait, harness.equal

test("a connection that is killed in mid-stream is opened again, and nothing is missing or doubled", function()
  local server = model.start()
  local reply
  server:script(function(started)
    reply = started
    reply:text("one ")
  end, model.say("And on."))
  harness.enter(harness.place(server.port))
  vim.cmd("Polytree prompt count")
  wait("the first word", function()
    return harness.conversation():find("one", 1, true)
  end)
  local client = require("polytree.daemon.client").client
  local first = client.rpc.pid
  vim.uv.kill(first, "sigkill")
  wait("the end of the connection", function()
    return client.rpc == nil or client.rpc.pid ~= first
  end)
  -- Said while nobody listens.
  reply:text("two ")
  wait("the next connection", function()
    return client.state == "ready"
  end)
  reply:text("three")
  reply:finish()
  wait("the answer", function()
    return harness.conversation():find("one two three", 1, true)
  end)
  equal(select(2, harness.conversation():gsub("one two three", "")), 1, harness.conversation())
  vim.cmd("Polytree prompt go on")
  wait("the next answer", function()
    return harness.conversation():find("And on.", 1, true)
  end)
  equal(select(2, harness.conversation():gsub("## You", "")), 2, harness.conversation())
  server:stop()
end)
