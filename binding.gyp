{
  "includes": ["native/build.gypi"]
}
