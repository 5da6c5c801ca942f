-- The prompt is Markdown.
vim.treesitter.language.register("markdown", "polytree_prompt")
pcall(vim.treesitter.start, vim.api.nvim_get_current_buf(), "markdown")
