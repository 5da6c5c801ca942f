--- `User` autocommands: `PolytreeConnection`, `PolytreeStatus`, `PolytreeQuestion`, `PolytreeIdle`, `PolytreeEdited`,
--- `PolytreeHunks`.
local M = {}

---@param name string
---@param data? table
function M.fire(name, data)
  vim.api.nvim_exec_autocmds("User", { pattern = "Polytree" .. name, data = data, modeline = false })
end

return M
