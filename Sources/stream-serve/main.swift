import StreamTool

command.run(ServeOptions(), serve)
