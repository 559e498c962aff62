import StreamTool

command.run(BatchOptions(), batch)
