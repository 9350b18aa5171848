printf '%05d|%-6s|%6s|%x|%o|%c\n' 42 ab cd 255 8 xyz
