trap 'echo err' ERR; false; echo on
