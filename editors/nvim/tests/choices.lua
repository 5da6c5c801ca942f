--- What a session uses: agent, model, variant; how full its context is; what "always" allows.
local harness = require("polytree_test.harness")
local model = require("polytree_test.model_server")

local test, wait, equal, contains = harness.test, harness.wait, harness.equal, harness.contains

---@return string
local function status()
  local win = require("polytree.conversation.view").window()
  return win and vim.api.nvim_win_call(win, function()
    return require("polytree").view_statusline()
  end) or ""
end

---@param text string
local function shows(text)
  wait(text .. " in the status line", function()
    return status():find(text, 1, true)
  end)
end

---@param text string
local function said(text)
  wait(text, function()
    return harness.conversation():find(text, 1, true)
  end)
end

test("agent, model and variant are chosen for a session and stay; the context is shown", function()
  local server = model.start()
  local place = harness.place(server.port)
  local path = place.root .. "/config/polytree.json"
  local settings = vim.json.decode(harness.read(path))
  settings.provider["local"].models.large = {
    limit = { context = 1000, output = 100 },
    variants = { high = { temperature = 0.9 } },
  }
  harness.write(path, vim.json.encode(settings))
  harness.enter(place)
  server:script(model.say("one"), model.say("two"))
  vim.cmd("Polytree prompt first")
  said("one")
  shows("build local/small")
  shows("context")
  vim.cmd("Polytree model local/nothing")
  wait("the refusal", function()
    return vim.inspect(harness.notified):find('there is no model "local/nothing"', 1, true)
  end)
  vim.cmd("Polytree model local/large high")
  shows("build local/large high")
  vim.cmd("Polytree agent plan")
  shows("plan ")
  vim.cmd("Polytree model local/large high")
  shows("plan local/large high")
  vim.cmd("Polytree prompt second")
  said("two")
  equal(server:turns()[2].model, "large")
  contains(harness.conversation(), "## plan · large high ·")
  -- 110 tokens of 1,000.
  shows("11%% of 1.0k context")
  server:stop()
end)

test("“always” holds in the session alone, and for less than what is offered", function()
  local server = model.start()
  harness.enter(harness.place(server.port))
  local bash = function(command)
    return model.call("bash", { command = command, description = "Touch" })
  end
  server:script(bash("touch one"), bash("touch one"), bash("touch two"), model.say("done"))
  vim.cmd("Polytree prompt touch")
  local first = wait("the question", function()
    return require("polytree.question").current()
  end)
  vim.cmd("Polytree always session rm *")
  wait("the refusal", function()
    return #harness.notified > 0
  end)
  equal(require("polytree.question").current().id, first.id, "a wrong answer closes no question")
  equal(vim.fn.getcompletion("Polytree always session [in", "cmdline"), first.always)
  vim.cmd("Polytree always session " .. first.always[1])
  -- The same command is not asked for again, another one is.
  local second = wait("another question", function()
    local question = require("polytree.question").current()
    return question and question.id ~= first.id and question
  end)
  equal(second.metadata.command, "touch two")
  equal(vim.fn.getcompletion("Polytree always se", "cmdline"), { "session" })
  local grants
  require("polytree.daemon.client").request("permission.grants", { sessionID = second.sessionID }, function(list)
    grants = list
  end)
  wait("the grants", function()
    return grants
  end)
  equal(#grants, 1)
  equal(grants[1].sessionID, second.sessionID)
  wait("the settled question", function()
    vim.cmd("Polytree allow")
    return harness.conversation():find("done", 1, true)
  end)
  server:stop()
end)
