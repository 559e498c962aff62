import StreamTool

command.run(EncodeOptions(), encode)
