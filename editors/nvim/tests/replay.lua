--- Recorded conversations (`tests/editors/transcripts`) are played into the conversation's buffer, event by event.
local harness = require("polytree_test.harness")

local test, wait, equal = harness.test, harness.wait, harness.equal
local folder = vim.fs.dirname(vim.uv.fs_realpath(debug.getinfo(1, "S").source:sub(2))) .. "/../../../tests/editors"

---@param buf integer
---@return string
local function text_of(buf)
  return table.concat(vim.api.nvim_buf_get_lines(buf, 0, -1, false), "\n") .. "\n"
end

--- A connection that answers and says what was recorded.
---@param transcript table
---@param read table[] what `session.messages` answers
---@return { emit: fun(event: table) }
local function play(transcript, read)
  local followers = {}
  local answers = {
    ["session.get"] = transcript.session,
    ["session.messages"] = read,
  }
  package.loaded["polytree.daemon.client"] = {
    client = { state = "ready", methods = {}, server = { cursor = 0 } },
    directory = function()
      return "/project"
    end,
    on = function() end,
    stop = function() end,
    request = function(method, params, done)
      local answer = answers[method]
      if method == "session.message" then
        answer = vim.iter(transcript.messages):find(function(message)
          return message.info.id == params.messageID
        end)
      end
      done(vim.deepcopy(assert(answer, method)))
    end,
    subscribe = function(_, on_event)
      table.insert(followers, on_event)
      return {}
    end,
    unsubscribe = function() end,
  }
  return {
    emit = function(event)
      for _, follower in ipairs(followers) do
        follower(vim.deepcopy(event))
      end
    end,
  }
end

---@param view polytree.View
local function settled(view)
  wait("the drawing", function()
    return not view.scheduled
  end)
end

for _, name in ipairs({ "answer", "tools", "sandbox", "undo", "compaction", "ends" }) do
  test(
    ("the transcript `%s` is drawn the same event by event, at once, and as it was recorded"):format(name),
    function()
      vim.env.TZ = "UTC"
      local path = ("%s/transcripts/%s.json"):format(folder, name)
      local transcript = vim.json.decode(harness.read(path), { luanil = { object = true, array = true } })
      local connection = play(transcript, {})
      local view = require("polytree.conversation.view").show(transcript.session.id)
      connection.emit({ type = "server.connected", cursor = 0, properties = {} })
      for _, event in ipairs(transcript.events) do
        local part = event.type == "message.part.updated" and event.properties.part
        local entry = part and part.type == "text" and view.state.by_id[part.messageID]
        if
          entry
          and entry.by_id[part.id]
          and require("polytree.conversation.state").text(entry.by_id[part.id]) ~= ""
        then
          -- What deltas have made of a text is what it is when it is sent whole.
          settled(view)
          local before = text_of(view.buf)
          connection.emit(event)
          settled(view)
          equal(vim.split(text_of(view.buf), "\n"), vim.split(before, "\n"), "deltas and the whole text")
        else
          connection.emit(event)
        end
        -- Each event is drawn by itself, but for a few that come together.
        if event.cursor % 3 > 0 then
          settled(view)
        end
      end
      settled(view)
      local grown = text_of(view.buf)
      equal(view.state.complete, true)

      -- Read whole, as by somebody who comes later.
      vim.api.nvim_buf_delete(view.buf, { force = true })
      for _, module in ipairs({ "conversation.view", "daemon.workspace", "question" }) do
        package.loaded["polytree." .. module] = nil
      end
      transcript.session = vim.iter(transcript.events):rev():find(function(event)
        return event.type == "session.updated"
      end).properties.info
      connection = play(transcript, transcript.messages)
      view = require("polytree.conversation.view").show(transcript.session.id)
      connection.emit({ type = "server.connected", cursor = 0, properties = {} })
      settled(view)
      local whole = text_of(view.buf)
      equal(vim.split(grown, "\n"), vim.split(whole, "\n"))

      local golden = ("%s/transcripts/%s.nvim.md"):format(folder, name)
      if os.getenv("POLYTREE_UPDATE") then
        harness.write(golden, whole)
      end
      equal(vim.split(whole, "\n"), vim.split(harness.read(golden), "\n"), "set POLYTREE_UPDATE=1 to write it anew")
    end
  )
end
