import StreamTool

command.run(DecodeOptions(), decode)
