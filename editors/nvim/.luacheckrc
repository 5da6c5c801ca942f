std = "luajit"
read_globals = { "vim" }
globals = { "vim.env", "vim.bo", "vim.wo", "vim.b", "vim.g", "vim.o", "vim.opt", "vim.notify", "vim.ui" }
max_line_length = 140
