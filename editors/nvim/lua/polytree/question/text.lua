--- What a question says: everything that an answer is about, as lines. Nothing is folded away.
local client = require("polytree.daemon.client")
local exact = require("polytree.question.exact")
local workspace = require("polytree.daemon.workspace")

local M = {}

--- What the types of questions are about.
local SUBJECTS = {
  read = "reads ",
  edit = "writes ",
  external_directory = "works in ",
}

---@param value any
---@return string?
local function text(value)
  return type(value) == "string" and value ~= "" and value or nil
end

---@param list any
---@return string?
local function joined(list)
  return type(list) == "table" and #list > 0 and table.concat(vim.tbl_map(tostring, list), ", ") or nil
end

---@param question polytree.protocol.Permission
---@return string[]
function M.lines(question)
  local metadata = type(question.metadata) == "table" and question.metadata or {}
  local session = workspace.sessions[question.sessionID]
  local lines = {}
  ---@param label string
  ---@param value? string
  local function add(label, value)
    if value then
      vim.list_extend(lines, exact.lines(label .. value))
    end
  end
  local command = text(metadata.command)
  add("", ("%s: may it do this?"):format(question.type))
  add("session: ", session and text((session.title:gsub("%c", " "))))
  add("directory: ", session and session.directory ~= client.directory() and session.directory or nil)
  local policy = type(metadata.sandbox) == "table" and text(metadata.sandbox.policy)
  local runs_free = policy == "off" and " (it runs as you, in no sandbox)" or ""
  add("working directory: ", text(metadata.workdir) and metadata.workdir .. runs_free)
  add("", "")
  if command then
    -- The line as it will run; the title is the model's.
    add("", text(metadata.shown) or command)
  elseif text(metadata.diff) then
    add("", (metadata.diff:gsub("\n+$", "")))
  else
    for _, pattern in ipairs(question.patterns) do
      add("", pattern)
    end
  end
  local count = #lines
  add("", "")
  if command and SUBJECTS[question.type] then
    add("it " .. SUBJECTS[question.type], joined(question.patterns))
  end
  if question.type ~= "external_directory" then
    add("outside of the worktree: ", joined(metadata.directories))
  end
  if metadata.understood == false then
    add("", "It cannot be told what this line runs.")
    add("rules deny: ", joined(metadata.denies))
  end
  if policy and policy ~= "off" then
    add("It would leave the sandbox ", policy)
    add("because: ", text(metadata.reason))
  end
  add("the model says: ", command and text(metadata.description))
  add(("“always” would allow %s: "):format(question.type), joined(question.always))
  if #lines == count + 1 then
    table.remove(lines)
  end
  return lines
end

return M
