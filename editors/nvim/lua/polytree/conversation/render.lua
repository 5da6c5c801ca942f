--- What a message looks like, as lines of Markdown. Pure: the same state gives the same lines.
---
--- Each part is a block of its own. Details of a tool call, thoughts and summaries start with a marker, by which
--- they are folded (`M.fold_level`) and highlighted (`syntax/polytree.vim`).
local state = require("polytree.conversation.state")

local M = {}

M.DETAIL = "  │ "
M.THOUGHT = "  ┊ "
M.SUMMARY = "  ┆ "

local MARKS = { pending = "…", running = "▶", completed = "✓", error = "✗" }
--- More lines of a tool's output or input are left out; `:Polytree output` shows all.
local MAX_DETAIL_LINES = 200
--- A title above this many characters is cut.
local MAX_TITLE = 100

---@param text string
---@return string[]
local function split(text)
  return vim.split((text:gsub("\r\n", "\n"):gsub("%z", "␀")), "\n", { plain = true })
end

---@param text string
---@return string one line
local function one_line(text)
  text = vim.trim((text:gsub("%s+", " "):gsub("%c", "")))
  if vim.fn.strchars(text) > MAX_TITLE then
    text = vim.fn.strcharpart(text, 0, MAX_TITLE - 1) .. "…"
  end
  return text
end

--- A path in an answer, short, as code.
---@param path any
---@return string
function M.quoted(path)
  return "`" .. one_line(vim.fn.fnamemodify(tostring(path), ":~:.")):gsub("`", "ˋ") .. "`"
end

---@param lines string[]
---@param text string
---@param prefix string
---@param limit? number of lines
local function add_prefixed(lines, text, prefix, limit)
  text = text:gsub("%s+$", "")
  if text == "" then
    return
  end
  local all = split(text)
  for index, line in ipairs(all) do
    if index > (limit or MAX_DETAIL_LINES) then
      lines[#lines + 1] = prefix .. ("… %d more lines; `:Polytree output` shows all"):format(#all - MAX_DETAIL_LINES)
      return
    end
    lines[#lines + 1] = prefix .. line
  end
end

---@param time? integer milliseconds since 1970
---@return string
local function clock(time)
  return time and os.date("%H:%M", math.floor(time / 1000)) --[[@as string]] or ""
end

---@param number number
---@return string
function M.tokens(number)
  if number >= 1e6 then
    return ("%.1fM"):format(number / 1e6)
  elseif number >= 1000 then
    return ("%.1fk"):format(number / 1000)
  end
  return ("%d"):format(number)
end

---@param dollars number
---@return string
function M.cost(dollars)
  if dollars == 0 then
    return "$0"
  end
  return dollars >= 0.01 and ("$%.2f"):format(dollars) or ("$%.4f"):format(dollars)
end

--- Whether a message only asks for a summary.
---@param parts table[]
---@return boolean
function M.is_request_for_summary(parts)
  return #parts > 0 and vim.iter(parts):all(function(part)
    return part.type == "compaction"
  end)
end

--- The heading of a message.
---@param info table
---@param previous? table the message before it
---@param parts? table[] its parts
---@return string[]
function M.heading(info, previous, parts)
  if info.role == "user" then
    if parts and M.is_request_for_summary(parts) then
      return {}
    end
    local state_name = info.state
    local suffix = (state_name == "queued" or state_name == "cancelled") and (" · " .. state_name) or ""
    return { ("## You · %s%s"):format(clock(info.time.created), suffix), "" }
  end
  if previous and previous.role == "assistant" and previous.parentID == info.parentID and not info.summary then
    return {}
  end
  local model = info.modelID .. (info.variant and (" " .. info.variant) or "")
  if info.summary then
    return { one_line(("*Summary · %s · %s*"):format(model, clock(info.time.created))) }
  end
  return { one_line(("## %s · %s · %s"):format(info.agent, model, clock(info.time.created))), "" }
end

--- How a message ended, where that is worth a line.
---@param info table
---@return string[]
function M.ending(info)
  if info.role == "assistant" and info.error then
    local lines = {}
    local data = info.error.data or {}
    for index, line in ipairs(split(("%s: %s"):format(info.error.name, data.message or ""))) do
      lines[#lines + 1] = (index == 1 and "> **✗** " or "> ") .. line
    end
    if data.hint then
      lines[#lines + 1] = "> " .. one_line(data.hint)
    end
    lines[#lines + 1] = ""
    return lines
  end
  return {}
end

--- What the daemon adds to the output of a command for the model, such as why the sandbox may have refused something:
--- lines in brackets at its end.
---@param output any
---@return string[]
local function notes_of(output)
  local notes = {}
  local lines = type(output) == "string" and split((output:gsub("\n$", ""))) or {}
  for index = #lines, 1, -1 do
    if not lines[index]:match("^%[.*%]$") then
      break
    elseif not lines[index]:match("^%[exit code ") then
      table.insert(notes, 1, lines[index])
    end
  end
  return notes
end

--- Where a command that has failed ran, when that was a sandbox.
---@param call table
---@param metadata table
---@return string
local function sandbox_words(call, metadata)
  local sandbox = type(metadata.sandbox) == "table" and metadata.sandbox or {}
  local policy = sandbox.policy
  if not policy or policy == "off" then
    return ""
  end
  -- Calls of older daemons only have the words for the model.
  local may_be_why = type(sandbox.refused) == "table" and #sandbox.refused > 0
    or vim.iter(notes_of(call.output)):any(function(note)
      return vim.startswith(note, "[The command ran in the sandbox")
    end)
  return may_be_why and (", the sandbox %s may be why"):format(policy) or (", in the sandbox %s"):format(policy)
end

--- What the sandbox has found after a command.
---@param metadata table
---@return string[]
local function sandbox_findings(metadata)
  local sandbox = type(metadata.sandbox) == "table" and metadata.sandbox or {}
  local lines = {}
  for field, words in pairs({ restored = "was put back as it was", repositories = "is a new git repository" }) do
    for _, path in ipairs(type(sandbox[field]) == "table" and sandbox[field] or {}) do
      lines[#lines + 1] = ("  - %s %s"):format(M.quoted(path), words)
    end
  end
  table.sort(lines)
  return lines
end

---@param part table
---@return string
function M.tool_title(part)
  local call = part.state
  local title = type(part.subject) == "string" and part.subject or ""
  if title == "" and type(call.title) == "string" then
    title = call.title
  end
  local metadata = type(call.metadata) == "table" and call.metadata or {}
  local extra = ""
  if metadata.additions or metadata.deletions then
    extra = (" (+%d -%d)"):format(metadata.additions or 0, metadata.deletions or 0)
  elseif type(metadata.exit) == "number" and metadata.exit ~= 0 then
    extra = (" (exit code %d%s)"):format(metadata.exit, sandbox_words(call, metadata))
  end
  local mark = MARKS[call.status] or "?"
  if call.status == "completed" and type(metadata.exit) == "number" and metadata.exit ~= 0 then
    mark = MARKS.error
  end
  title = one_line(title):gsub("`", "ˋ")
  return ("%s **%s**%s%s"):format(mark, one_line(part.tool), title ~= "" and (" `" .. title .. "`") or "", extra)
end

---@param part table
---@return string[]
local function tool_block(part)
  local call = part.state
  local lines = { M.tool_title(part) }
  local metadata = type(call.metadata) == "table" and call.metadata or {}
  vim.list_extend(lines, sandbox_findings(metadata))
  if type(metadata.todos) == "table" then
    for _, todo in ipairs(metadata.todos) do
      local box = todo.status == "completed" and "[x]" or todo.status == "in_progress" and "[>]" or "[ ]"
      lines[#lines + 1] = ("  - %s %s"):format(box, one_line(tostring(todo.content)))
    end
  elseif type(metadata.diff) == "string" and metadata.diff ~= "" then
    add_prefixed(lines, metadata.diff, M.DETAIL)
  elseif part.tool == "bash" and type(metadata.output) == "string" then
    add_prefixed(lines, metadata.output, M.DETAIL)
    if call.status == "completed" then
      add_prefixed(lines, table.concat(notes_of(call.output), "\n"), M.DETAIL)
    end
  elseif call.status == "completed" and type(call.output) == "string" and call.output ~= "" then
    add_prefixed(lines, type(metadata.preview) == "string" and metadata.preview or call.output, M.DETAIL)
  end
  if call.status == "error" and type(call.error) == "string" then
    add_prefixed(lines, call.error, M.DETAIL)
  end
  lines[#lines + 1] = ""
  return lines
end

local ACTIONS = {
  restore = "restored",
  create = "created again",
  delete = "deleted",
  merge = "merged with later changes",
  skip = "not changed",
  conflict = "in conflict",
}

--- What happens to the files of an undo, one on each line.
---@param revert polytree.protocol.SessionRevert
---@return string[]
function M.files(revert)
  local lines = {}
  for _, file in ipairs(revert.files or {}) do
    local reason = type(file.reason) == "string" and ": " .. one_line(file.reason) or ""
    lines[#lines + 1] = ("- %s %s%s"):format(M.quoted(file.path), ACTIONS[file.action] or one_line(file.action), reason)
  end
  for _, path in ipairs(revert.uncovered or {}) do
    lines[#lines + 1] = ("- %s may have changed and stays as it is"):format(M.quoted(path))
  end
  return lines
end

--- What stands in place of messages that are undone.
---@param revert polytree.protocol.SessionRevert
---@param count integer of prompts
---@return string[]
function M.undone(revert, count)
  local what = count == 0 and "The rest of this answer is undone"
    or count == 1 and "1 prompt and its answer are undone"
    or ("%d prompts and their answers are undone"):format(count)
  local lines = {
    "---",
    ("*%s. `:Polytree unrevert` takes it back; the next prompt removes it for good.*"):format(what),
    "",
  }
  local files = M.files(revert)
  if #files > 0 then
    vim.list_extend(lines, files)
    lines[#lines + 1] = ""
  end
  return lines
end

--- The lines of one part; none where there is nothing to see.
---@param part table
---@param info table its message
---@return string[]
function M.part(part, info)
  if part.type == "text" then
    if part.synthetic then
      return {}
    end
    if info.summary then
      local lines = {}
      add_prefixed(lines, state.text(part), M.SUMMARY, math.huge)
      lines[#lines + 1] = #lines > 0 and "" or nil
      return lines
    end
    local lines = split(state.text(part))
    if #lines == 1 and lines[1] == "" then
      return {}
    end
    if lines[#lines] ~= "" then
      lines[#lines + 1] = ""
    end
    return lines
  elseif part.type == "reasoning" then
    local text = state.text(part)
    if text == "" then
      return {}
    end
    local span = part.time and part.time["end"] and part.time.start
    local duration = span and (part.time["end"] - part.time.start) / 1000 or 0
    local seconds = duration >= 1 and (" for %.0f s"):format(duration) or ""
    local lines = { "*thought" .. seconds .. "*" }
    add_prefixed(lines, text, M.THOUGHT)
    lines[#lines + 1] = ""
    return lines
  elseif part.type == "tool" then
    return tool_block(part)
  elseif part.type == "file" and info.role == "user" then
    local url = type(part.url) == "string" and part.url or ""
    local range = url:match("[?&]start=(%d+)")
    local last = url:match("[?&]end=(%d+)")
    local name = one_line(part.filename or url:sub(1, 60))
    return { ("@%s%s"):format(name, range and (":" .. range .. "-" .. (last or "")) or ""), "" }
  elseif part.type == "patch" and type(part.uncovered) == "table" and #part.uncovered > 0 then
    local names = vim.tbl_map(M.quoted, part.uncovered)
    return { ("> cannot be undone: %s"):format(table.concat(names, ", ")), "" }
  elseif part.type == "retry" then
    local data = part.error and part.error.data or {}
    return { ("> trying again: %s"):format(one_line(data.message or "")), "" }
  elseif part.type == "compaction" then
    local why = part.overflow and ", because the service refused it as too long" or part.auto and ", to make room" or ""
    return { "---", ("*The conversation up to here is summarised%s.*"):format(why), "" }
  end
  return {}
end

--- The fold level of a line.
---@param line string
---@param config polytree.Config
---@return integer
function M.fold_level(line, config)
  if config.fold_tools and vim.startswith(line, M.DETAIL) then
    return 1
  elseif config.fold_reasoning and vim.startswith(line, M.THOUGHT) then
    return 1
  elseif config.fold_summaries and vim.startswith(line, M.SUMMARY) then
    return 1
  end
  return 0
end

return M
